# The replacements in the tutorials are those of doc/method.md, all of them.
tare compare --explain-setup > setup.txt || echo "exit $?"
sed -n '/^<!-- tutorials -->/,/^<!-- end of tutorials -->/{/^<!--/d;p}' "$root/doc/method.md" | cmp - setup.txt && echo same
grep -c '^| ' setup.txt
