# Go's scheduler and net/http: epoll, preemption by SIGURG, children of a threaded program (golang/go#67355, #69255, orbstack#2188).
# Thread: golang/go#69255
#@ needs = go/http
/.guests/go/http; echo $?; GODEBUG=asyncpreemptoff=0 GOMAXPROCS=8 GOGC=10 /.guests/go/http | tail -3
