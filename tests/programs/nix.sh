# nix: its evaluator on a collector with a large heap, coroutines, a store of its own (NixOS/nix#16184).
#@ root = extra
#@ long = a minute and more under two emulators
#@ limit = 900
export NIX_STORE_DIR=/tmp/work/store NIX_STATE_DIR=/tmp/work/state NIX_LOG_DIR=/tmp/work/log NIX_CONF_DIR=/tmp/work/conf NIX_REMOTE=local
mkdir conf; echo "build-users-group =" > conf/nix.conf
{
nix --version; nix-instantiate --eval -E '1 + 1'; nix-instantiate --eval --strict -E 'let f = n: if n < 2 then n else f (n - 1) + f (n - 2); in map f [ 1 5 10 15 18 ]'
nix-instantiate --eval --strict --json -E 'let s = builtins.genList (x: { name = "n${toString x}"; value = builtins.hashString "sha256" (toString x); }) 300; in builtins.attrNames (builtins.listToAttrs s)' | md5sum
nix-instantiate --eval -E 'builtins.foldl'"'"' (a: b: a + builtins.stringLength b) 0 (builtins.genList (x: builtins.toJSON (builtins.genList (y: x * y) 50)) 300)'
nix-instantiate --eval -E 'throw "no"'; echo $?; nix-instantiate --eval -E '{'; echo $?
nix-hash --type sha256 --base32 /usr/share/common-licenses; nix-store --version; nix-store --add /usr/share/common-licenses/GPL-3; cmp store/*GPL-3 /usr/share/common-licenses/GPL-3 && echo stored
nix-store --dump /usr/share/common-licenses | md5sum; nix-store --dump /usr/share/common-licenses | nix-store --restore copy; diff -r copy /usr/share/common-licenses && echo restored
} 2>&1
