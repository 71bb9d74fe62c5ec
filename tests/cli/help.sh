# Every --help opens with examples.
t tare --help
for command in compare train predict export bench report verify data doctor certify sweep; do
    t tare $command --help
done
