/* native_update.c: what an optimiser's update is at one step; the formulas are kernel.h's. */
#include <math.h>

#include "engine/native.h"

void native_update_at(struct tare_update *update, const struct tare_optimizer *optimizer,
                      uint64_t t) {
    const struct tare_optimizer *o = optimizer;
    double lr = tare_optimizer_rate(o, t);
    *update =
        (struct tare_update){.kind = o->kind, .lr = (float)lr, .momentum = (float)o->momentum};
    if (o->kind != TARE_OPTIMIZER_ADAM)
        return;
    double t_real = (double)t, bias1 = 1 - pow(o->beta1, t_real);
    double root = sqrt((1 - pow(o->beta2, t_real)) / (1 - o->beta2));
    update->beta1 = (float)o->beta1;
    update->beta2 = (float)o->beta2;
    update->rate = (float)(lr * (1 - o->beta1) / bias1 * root);
    update->epsilon = (float)(o->epsilon * root);
}
