# Rust programs with the standard library.
#@ needs = rust/hello rust/std
/.guests/rust/hello; echo $?; /.guests/rust/std; echo $?
