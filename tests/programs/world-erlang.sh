# Erlang's BEAM: its compiler writes through a second mapping of its code (erlang/otp#10355), many scheduler threads.
#@ root = world
#@ each = eval run single
#@ long = more than a minute under two emulators
#@ limit = 1500
e() { erl -noshell +S 2:2 "$@" -s erlang halt; }
export ERL_CRASH_DUMP=/dev/null
cat > m.erl <<'F'
-module(m). -export([f/1, ring/2, run/0]).
f(N) when N < 2 -> N; f(N) -> f(N - 1) + f(N - 2).
ring(0, P) -> P ! done; ring(N, P) -> spawn(fun() -> ring(N - 1, P) end).
run() -> io:format("~p~n", [f(20)]), ring(2000, self()), receive done -> ok end, L = lists:sum([X * X || X <- lists:seq(1, 10000)]), T = ets:new(t, []), [ets:insert(T, {I rem 100, I}) || I <- lists:seq(1, 10000)],
  Pids = [begin S = self(), spawn(fun() -> S ! {I, f(12)} end), I end || I <- lists:seq(1, 50)], R = [receive {I, V} -> V end || I <- Pids],
  io:format("~p ~p ~p ~s~n", [L, ets:info(T, size), lists:sum(R), binary:encode_hex(erlang:md5(<<"x">>))]), catch error(bad), io:format("~p~n", [catch 1 / (length(R) - 50)]), 1 bsl 200.
F
case $1 in eval) e -eval 'io:format("~p ~p~n", [erlang:system_info(emu_flavor), lists:seq(1, 5)])' ;; run) erlc m.erl && e -pa . -eval 'm:run()' | sed 's/{m,run,0,.*//' ;; single) e +JMsingle true -eval 'io:format("~p~n", [lists:seq(1, 3)])' ;; esac
