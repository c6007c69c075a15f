# A dynamic and a static program see the processor that xemu shows, and not the machine's.
#@ where = namespace vm
#@ run = guest
#@ needs = rust/marker
#@ expect = differs
/.guests/rust/marker; echo x | xargs /.guests/rust/marker
