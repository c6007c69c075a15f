# uv and ruff (Rust, a thread pool each; astral-sh/uv#16024, docker/for-mac#7840): an environment, a wheel installed, a project's lock, a program run; lint and format.
#@ root = extra
#@ long = minutes under two emulators
#@ limit = 1200
export PATH=/usr/local/lib/wheels/bin:$PATH UV_OFFLINE=1 UV_NO_PROGRESS=1 UV_CACHE_DIR=/tmp/cache UV_PYTHON_DOWNLOADS=never NO_COLOR=1
python3 - <<'P'
import zipfile
with zipfile.ZipFile("hello-1.0-py3-none-any.whl", "w") as z:
    z.writestr("hello.py", "def main():\n    print('hello from the wheel')\n")
    z.writestr("hello-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n")
    z.writestr("hello-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    z.writestr("hello-1.0.dist-info/entry_points.txt", "[console_scripts]\nhello = hello:main\n")
    z.writestr("hello-1.0.dist-info/RECORD", "hello.py,,\nhello-1.0.dist-info/METADATA,,\nhello-1.0.dist-info/WHEEL,,\nhello-1.0.dist-info/entry_points.txt,,\nhello-1.0.dist-info/RECORD,,\n")
P
{
uv --version; uv venv -q --python /usr/bin/python3 env; echo $?; VIRTUAL_ENV=$PWD/env uv pip install --no-index --find-links . hello; echo $?; env/bin/hello; VIRTUAL_ENV=$PWD/env uv pip list; VIRTUAL_ENV=$PWD/env uv pip check
mkdir project; printf '[project]\nname = "p"\nversion = "0.1"\nrequires-python = ">=3.11"\ndependencies = ["hello"]\n' > project/pyproject.toml; cd project
uv lock --no-index --find-links .. --python /usr/bin/python3; echo $?; uv tree --no-index --find-links .. --python /usr/bin/python3; VIRTUAL_ENV=$PWD/../env uv pip install --no-index missing; echo $?
printf 'import os, sys\ndef f( a,b ):\n  x=1\n  return a==None\n' > bad.py; ruff check --no-cache bad.py; echo $?; ruff format --no-cache --diff bad.py; echo $?; ruff check --no-cache --isolated --select ALL --statistics -q bad.py /usr/lib/python3.13/json | sort
} 2>&1 | sed -E 's/ in [0-9.]+m?s$//; s/in [0-9.]+(ms|s|µs)/in TIME/'
