/* inputs.h: whether an engine kept to its own folder: what all engines share, and what others
 * wrote, must be after a job as it was before. Internal to lab.
 *
 *     status = tare_inputs_launch(&result->outcome, &how, &job, state, job_dir, run, err);
 *     if (the job is done)
 *         tare_own_files(result, job_dir);
 */
#ifndef TARE_LAB_INPUTS_H
#define TARE_LAB_INPUTS_H

#include "lab/campaign.h"

/* tare_launch_job, and tare_certify, with a look before and after at what an engine must leave
 * alone: the prepared data, and what stands in runs/, jobs/ and certificates/ outside its own
 * folder (own_dir, request->dir; absolute). An engine that changed any of it has failed, with that
 * reason. What engines are given is made anew: the prepared data, and the files of run `run` (−1:
 * none); results of others can't be, but what they were worth is recorded already. */
enum tare_status tare_inputs_launch(struct tare_outcome *outcome, const struct tare_launch *launch,
                                    const struct tare_job *job, struct tare_campaign_state *state,
                                    const char *own_dir, int run, struct tare_err *err);
enum tare_status tare_inputs_certify(struct tare_certificate *certificate,
                                     const struct tare_certify_request *request,
                                     struct tare_campaign_state *state, struct tare_err *err);

/* Whether path (absolute, without links when its folder was made) is a file of the engine's own:
 * not a link, a pipe or a device, in no folder that was replaced by a link, and not a second name
 * of another file. TARE_DATA otherwise. */
enum tare_status tare_own_file(const char *path, struct tare_err *err);

/* The same of everything that a job says it wrote, and of the place where tare will write in its
 * folder. What isn't there is not missed here. Spoils the job. */
void tare_own_files(struct tare_job_result *result, const char *job_dir);

#endif
