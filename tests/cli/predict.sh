# Models that are not models.
printf 'x' > broken.safetensors
printf 'x' > broken.png
t tare predict broken.safetensors broken.png
t tare predict missing.safetensors broken.png
