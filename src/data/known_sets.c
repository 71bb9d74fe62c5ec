/* known_sets.c: the published data sets tare knows by name, one row each. A set is recognised by
 * the SHA-256 of its four uncompressed files, never by the folder it lies in. To add one, add a
 * row; arrays_sha256 is what `tare data` prints for it, and tests/test_dataset.c checks it.
 */
#include <string.h>

#include "data/parts.h"

static const char *const mnist_mirrors[] = {
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    NULL,
};

const struct tare_known_set tare_known_sets[] = {
    {
        .name = "mnist",
        .title = "MNIST",
        .licence = "CC BY-SA 3.0; Y. LeCun, C. Cortes, C. J. C. Burges",
        .arrays_sha256 = "bab833be44432887b8367c256dc3f6f37f73632c1eabcb1cbc894e04f779a312",
        .mirrors = mnist_mirrors,
        .get = "put MNIST's four .gz files into a folder and name it with --data DIR",
        .files =
            {
                {"train-images-idx3-ubyte", 47040016,
                 "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"},
                {"train-labels-idx1-ubyte", 60008,
                 "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"},
                {"t10k-images-idx3-ubyte", 7840016,
                 "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"},
                {"t10k-labels-idx1-ubyte", 10008,
                 "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"},
            },
    },
    {
        .name = "fashion-mnist",
        .title = "Fashion-MNIST",
        .licence = "MIT; Zalando SE",
        .arrays_sha256 = "09627107dde20800f249b90a3b80609822fbaf088555476bb02aea854423a846",
        .system_dir = "/usr/share/datasets/fashion-mnist",
        .get = "apt-get install dataset-fashion-mnist, or name its folder with --data DIR",
        .files =
            {
                {"train-images-idx3-ubyte", 47040016,
                 "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
                {"train-labels-idx1-ubyte", 60008,
                 "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"},
                {"t10k-images-idx3-ubyte", 7840016,
                 "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
                {"t10k-labels-idx1-ubyte", 10008,
                 "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"},
            },
    },
};

const size_t tare_known_set_count = sizeof tare_known_sets / sizeof *tare_known_sets;

const struct tare_known_set *tare_known_set_find(const char *name) {
    for (size_t i = 0; i < tare_known_set_count; i++)
        if (strcmp(tare_known_sets[i].name, name) == 0)
            return &tare_known_sets[i];
    return NULL;
}
