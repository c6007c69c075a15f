# The same two levels down, through a pipe, a subshell, `env` and `xargs`.
#@ needs = rust/marker
#@ expect = differs
(echo x | (cat >/dev/null; env /bin/sh -c 'echo /.guests/rust/marker | xargs -n1 sh -c "\$0"'))
