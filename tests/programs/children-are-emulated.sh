# Programs started by a program must be emulated too, not run by the machine: the guest prints the processor it sees.
#@ needs = rust/marker
#@ expect = differs
/.guests/rust/marker
