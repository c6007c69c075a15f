# npm: a tree of local packages (folders, an archive by `npm pack`, a script after installation, programs in bin) is installed, listed, tested, run and removed again
# (nodejs/docker-node#1946, #1335).
#@ root = world
#@ each = install again workspaces
#@ long = minutes under two emulators
#@ limit = 1800
export PATH=/usr/local/bin:$PATH HOME=/tmp/work/home npm_config_cache=/tmp/work/cache npm_config_update_notifier=false npm_config_offline=true npm_config_audit=false npm_config_fund=false NO_COLOR=1
# run COMMAND...: what it says, without times.
run() { "$@" 2>&1 | sed -E 's/ in [0-9.]+(ms|s|m)$//; /duration_ms/d' | grep -v '^$'; echo "$1 $2: ${PIPESTATUS[0]}"; }
mkdir -p app/packages/{sum,show} packed home; cd app
echo '{ "name": "sum", "version": "1.2.3", "main": "sum.js" }' > packages/sum/package.json; echo 'module.exports = (...xs) => xs.reduce((a, b) => a + b, 0);' > packages/sum/sum.js
echo '{ "name": "show", "version": "0.1.0", "bin": { "show": "show.js" }, "dependencies": { "sum": "SUM" } }' > packages/show/package.json
printf '#!/usr/bin/env node\nconsole.log("shown", require("sum")(...process.argv.slice(2).map(Number)));\n' > packages/show/show.js
echo '{ "name": "built", "version": "2.0.0", "main": "made.js", "scripts": { "postinstall": "node make.js && uname -m > machine" }, "files": ["make.js"] }' > ../packed/package.json
echo 'require("fs").writeFileSync("made.js", `module.exports = ${JSON.stringify({ by: process.env.npm_lifecycle_event, name: process.env.npm_package_name })};`);' > ../packed/make.js
cat > a.test.js <<'J'
const { test } = require("node:test"), assert = require("node:assert");
test("adds", () => assert.equal(require("sum")(1, 2, 3), 6));
test("shows", () => assert.equal(require("child_process").execFileSync("show", ["4", "5"], { encoding: "utf8" }), "shown 9\n"));
J
scripts='"pretest": "echo before", "test": "node --test --test-reporter=tap a.test.js", "hello": "show 1 2 && echo $npm_package_version", "fails": "exit 3"'
npm --version
case $1 in
install | again)
sed -i 's#SUM#file:../sum#' packages/show/package.json
(cd ../packed; npm pack --silent; node -e 'process.stdout.write(require("zlib").gunzipSync(require("fs").readFileSync("built-2.0.0.tgz")))' | tar t | sort)
echo '{ "name": "app", "version": "3.0.0", "scripts": { '"$scripts"' }, "dependencies": { "sum": "file:packages/sum", "show": "file:packages/show", "built": "file:../packed/built-2.0.0.tgz" } }' > package.json
run npm install --foreground-scripts; cat node_modules/built/{machine,made.js}; echo; ls -l node_modules/.bin | grep -o '[^ ]* -> .*'; md5sum package-lock.json
if [ $1 = install ]; then
    run npm ls --all; run npm test; run npm run hello; run npm run fails --silent; run npm exec -- show 10 20
else
    rm -r node_modules; run npm ci; node -p 'require("built").name'; run npm uninstall built; run npm ls; npm cache ls | wc -l
fi ;;
workspaces)
sed -i 's#SUM#^1.0.0#' packages/show/package.json
echo '{ "name": "app", "version": "3.0.0", "private": true, "workspaces": ["packages/*"], "scripts": { '"$scripts"' } }' > package.json
run npm install; run npm ls --all; run npm pkg get version --workspaces; (cd packages/show; run npm pack --silent); run npm version minor --workspace=sum; run npm query '#sum' | grep -E '"(version|location)"' ;;
esac
