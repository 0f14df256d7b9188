"""A process ends within seconds, with the right code, whatever its data sets are doing.

Each script runs in a process of its own, a fork of one that has imported TensorFlow and done
nothing else, and ends as any Python program does.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile

import pytest

from tests.helpers.nyud_folders import write_pack
from tests.helpers.slow import slow_but

SETUP = r"""import mtl_tf as mtl
TASKS = {"semseg": 13, "depth": 1}

def rooms(**options):
    size = {"input_shape": (32, 64, 3), "train_size": 16, "val_size": 4, "batch_size": 4}
    return mtl.data.RenderedRooms(TASKS, **(size | options))

class Own(mtl.data.DenseDataset):
    def __init__(self, error=None, seconds=0.0, **options):
        splits = {"train": [str(i) for i in range(32)], "val": ["0", "1"]}
        options = {"batch_size": 2} | options
        super().__init__(None, {"depth": 1}, splits, (32, 64, 3), **options)
        self.error, self.seconds = error, seconds

    def load(self, image_id):
        time.sleep(self.seconds)
        if self.error is not None and image_id == "1":
            raise self.error
        image = np.full((32, 64, 3), int(image_id), np.uint8)
        return mtl.data.Sample(image, {"depth": np.ones((32, 64), np.float32)}, {})

def trainer(tasks=TASKS, **options):
    image = keras.Input((32, 64, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(image)
    outputs = {task: keras.layers.Conv2D(n, 1)(x) for task, n in tasks.items()}
    made = mtl.MultiTaskTrainer(keras.Model(image, outputs), tasks)
    made.compile("adam", **options)
    return made

def alive(dataset):
    iterator = iter(dataset)
    next(iterator)
    return iterator

def two_devices():
    cpu = tf.config.list_physical_devices("CPU")[0]
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, halves)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

def after(seconds, number):
    threading.Timer(seconds, lambda: os.kill(os.getpid(), number)).start()

class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        raise RuntimeError("my own check failed")
"""
HOST = r"""
import json, os, signal, sys, tempfile, threading, time
import cv2, h5py, keras, scipy.io, scipy.stats
import numpy as np
import tensorflow as tf

print(flush=True)
while True:
    script, log, limit = json.loads(sys.stdin.readline())
    begun = time.monotonic()
    pid = os.fork()
    if not pid:
        number = os.open(log, os.O_CREAT | os.O_WRONLY)
        os.dup2(number, 1)
        os.dup2(number, 2)
        exec(compile(script, "script", "exec"), globals())  # its variables are those of a program
        break
    found = None
    while found is None and time.monotonic() - begun < limit:
        ended, status = os.waitpid(pid, os.WNOHANG)
        found = os.waitstatus_to_exitcode(status) if ended else time.sleep(0.02)
    if found is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    print(json.dumps([found, time.monotonic() - begun]), flush=True)
"""
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
ENDS_WITHIN_S = 60  # on a busy machine; a process that does not end never does


@pytest.fixture(scope="module")
def host():
    """Runs scripts: `(exit code, None if it hung; seconds; what it wrote)`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOST],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | QUIET,
    )
    assert process.stdout.readline() == "\n"

    def run(script, limit=ENDS_WITHIN_S):
        with tempfile.NamedTemporaryFile() as log:
            process.stdin.write(json.dumps([SETUP + script, log.name, limit]) + "\n")
            process.stdin.flush()
            code, seconds = json.loads(process.stdout.readline())
            return code, seconds, log.read().decode(errors="replace")

    yield run
    process.kill()
    process.communicate()


def test_importing_starts_no_tensorflow():
    """Devices and threads can be chosen afterwards, and processes forked."""
    code = (
        "import tensorflow as tf, mtl_tf\n"
        "cpu = tf.config.list_physical_devices('CPU')[0]\n"
        "halves = [tf.config.LogicalDeviceConfiguration()] * 2\n"
        "tf.config.set_logical_device_configuration(cpu, halves)\n"
        "tf.config.threading.set_inter_op_parallelism_threads(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


# === Ends: {name: (code, script)} ===

SCRIPTS = {
    # An iterator is alive.
    "global": (0, "it = alive(rooms().train())"),
    "without a batch": (0, "it = iter(rooms().train())"),
    "started before a batch is asked for": (
        0,
        """
options = tf.data.Options()
options.experimental_warm_start = True
it = iter(Own(seconds=0.3).train().with_options(options))
""",
    ),
    "list": (0, "its = [alive(rooms().train().repeat()) for _ in range(3)]"),
    "generator": (
        0,
        """
def batches():
    yield from rooms().train().repeat()
it = batches()
next(it)
""",
    ),
    "closure": (
        0,
        """
def make():
    it = alive(rooms().train().repeat())
    return lambda: next(it)
more = make()
more()
""",
    ),
    "cycle": (
        0,
        """
class Holder: pass
holder = Holder()
holder.itself, holder.it = holder, alive(rooms().train().repeat())
del holder
""",
    ),
    "two at once": (0, "a, b = alive(rooms().train().repeat()), alive(rooms().val().repeat())"),
    "thread": (0, "threading.Thread(target=lambda: list(rooms().train())).start()"),
    "daemon": (
        0,
        """
train = Own(seconds=0.05).train().repeat()
threading.Thread(target=lambda: list(train), daemon=True).start()
time.sleep(1)
""",
    ),
    "fit in a daemon": (
        0,
        """
def fit():
    trainer({"depth": 1}).fit(Own(seconds=0.02).train(), epochs=1000, verbose=0)
threading.Thread(target=fit, daemon=True).start()
time.sleep(3)
""",
    ),
    "repeat": (0, "it = alive(rooms().train().repeat())"),
    "shuffle": (0, "it = alive(rooms().train().repeat().shuffle(50))"),
    "take": (0, "it = alive(rooms().train().take(3))"),
    "cache": (0, "it = alive(rooms().train().cache())"),
    "prefetch": (0, "it = alive(rooms().train().repeat().prefetch(tf.data.AUTOTUNE))"),
    "rebatch": (0, "it = alive(rooms().train().unbatch().batch(3).repeat())"),
    "zip": (0, "it = alive(tf.data.Dataset.zip((rooms().train(), rooms().val())).repeat())"),
    "interleave": (
        0,
        """
train = rooms().train()
both = tf.data.Dataset.range(4).interleave(lambda _: train, cycle_length=2, num_parallel_calls=2)
it = alive(both)
""",
    ),
    "of NumPy": (0, "it = rooms().train().repeat().as_numpy_iterator()\nnext(it)"),
    "own map in threads": (
        0,
        """
mapped = rooms().train().repeat().map(lambda image, *_: image + 1.0, num_parallel_calls=2)
it = alive(mapped)
""",
    ),
    "in a graph": (
        0,
        """
train = rooms().train()
@tf.function
def count():
    n = 0
    for _ in train:
        n += 1
        if n > 1:
            break
    return n
count()
""",
    ),
    "packed": (
        0,
        """
folder = tempfile.mkdtemp()
mtl.data.pack(rooms(), folder, 20000)
it = alive(mtl.data.PackedDataset(folder, batch_size=2).train().repeat())
""",
    ),
    "packed stream": (
        0,
        """
folder = tempfile.mkdtemp()
mtl.data.pack(rooms(), folder, 20000)
packed = mtl.data.PackedDataset(folder, batch_size=2)
it = alive(packed.stream("train", training=True).repeat())
""",
    ),
    "union": (0, "it = alive(mtl.data.union([rooms(), rooms()], batch_size=4).train().repeat())"),
    "two devices": (
        0,
        """
strategy = two_devices()
it = alive(strategy.experimental_distribute_dataset(rooms().train().repeat()))
""",
    ),
    "inside a scope": (
        0,
        """
tf.distribute.MirroredStrategy(["CPU:0"]).scope().__enter__()
it = alive(rooms().train().repeat())
""",
    ),
    # A function does not return.
    "load of 5 s": (
        0,
        """
own = Own(seconds=5)
train = own.train()
threading.Thread(target=lambda: alive(train), daemon=True).start()
time.sleep(1)
""",
    ),
    "load for ever": (
        0,
        """
own = Own(seconds=1000)
train = own.train()
threading.Thread(target=lambda: alive(train), daemon=True).start()
time.sleep(1)
""",
    ),
    # The program says how it ends.
    "exit in a loop": (3, "for _ in rooms().train(): sys.exit(3)"),
    "exit without a code": (0, "for _ in rooms().train().repeat(): sys.exit()"),
    "exit with a text": (1, "for _ in rooms().train().repeat(): sys.exit('no')"),
    "exit in load": (3, "trainer({'depth': 1}).fit(Own(SystemExit(3)).train(), verbose=0)"),
    "exit at once": (5, "it = alive(rooms().train().repeat())\nos._exit(5)"),
    "interrupted in fit": (
        -signal.SIGINT,
        """
after(3, signal.SIGINT)
trainer().fit(rooms(cache=True).train(), epochs=100000, verbose=0)
""",
    ),
    "interrupted in a loop": (
        -signal.SIGINT,
        """
after(1, signal.SIGINT)
for _ in Own(seconds=0.05).train().repeat(): pass
""",
    ),
    "terminated": (
        -signal.SIGTERM,
        """
after(3, signal.SIGTERM)
trainer().fit(rooms(cache=True).train(), epochs=100000, verbose=0)
""",
    ),
    # Something raises.
    "callback": (1, "trainer().fit(rooms().train(), verbose=0, callbacks=[Stop()])"),
    "callback on two devices": (
        1,
        """
with two_devices().scope():
    made = trainer()
made.fit(rooms().train(), verbose=0, callbacks=[Stop()])
""",
    ),
    "held by the traceback": (
        1,
        """
def look(it):
    raise ValueError("no")
look(alive(rooms().train().repeat()))
""",
    ),
    "held by a kept exception": (
        0,
        """
try:
    it = alive(rooms().train().repeat())
    raise ValueError("no")
except ValueError as error:
    kept = error
""",
    ),
    "metric when traced": (
        1,
        """
class Bad(keras.metrics.Mean):
    def update_state(self, *args, **kwargs): raise RuntimeError("no")
trainer(metrics={"depth": [Bad()]}).fit(rooms().train(), verbose=0)
""",
    ),
    "metric in a step": (
        1,
        """
def check(x):
    raise RuntimeError("no")
class Bad(keras.metrics.Mean):
    def update_state(self, true, predicted, mask=None):
        return super().update_state(tf.py_function(check, [predicted], tf.float32))
trainer(metrics={"depth": [Bad()]}).fit(rooms().train(), verbose=0)
""",
    ),
    "own map": (
        1,
        """
def check(x):
    raise RuntimeError("no")
mapped = rooms().train().map(lambda image, *_: tf.py_function(check, [image], tf.float32), 2)
for _ in mapped: pass
""",
    ),
    "evaluation": (
        1,
        """
def predict(image, training):
    raise RuntimeError("no")
mtl.evaluation.evaluate(predict, rooms().test(), TASKS)
""",
    ),
}
FAST = (
    "global",
    "list",
    "started before a batch is asked for",
    "callback",
    "exit in a loop",
    "held by the traceback",
)


@pytest.mark.parametrize("name", slow_but(FAST, SCRIPTS))
def test_ends(name, host):
    code, script = SCRIPTS[name]
    found, _, written = host(script)
    assert found == code, written[-2000:]
    for wrong in ("Fatal", "terminate", "Virtual devices cannot"):
        assert wrong not in written, written[-2000:]


# === Errors: {name: (script, the end of what is written)} ===

FIT = "trainer({{'depth': 1}}).fit(Own({}).train(), verbose=0)"
DAMAGED = "mtl.data.DataError({!r})"
ERRORS = {
    "data error": (FIT.format(DAMAGED.format("a.jpg is damaged")), "DataError: a.jpg is damaged"),
    "its own type": (FIT.format("KeyError('x')"), "KeyError: 'x'"),
    "odd letters": (
        FIT.format(DAMAGED.format("a<3>.jpg<end> ['x'] DataError<7>: b\n is damaged")),
        "DataError: a<3>.jpg<end> ['x'] DataError<7>: b\n is damaged",
    ),
    "letters of another system": (
        FIT.format(DAMAGED.format("a\udcff.jpg is damaged")),
        "a\\udcff.jpg is damaged",
    ),
    "two devices": (
        "with two_devices().scope(): made = trainer({'depth': 1})\n"
        "made.fit(Own(mtl.data.DataError('a.jpg is damaged')).train(), verbose=0)",
        "DataError: a.jpg is damaged",
    ),
    "several steps at a time": (
        "trainer({'depth': 1}, steps_per_execution=4).fit("
        "Own(mtl.data.DataError('a.jpg is damaged')).train(), verbose=0)",
        "DataError: a.jpg is damaged",
    ),
    "validation": (
        "trainer({'depth': 1}).fit(Own().train(), verbose=0, "
        "validation_data=Own(mtl.data.DataError('a.jpg is damaged')).val())",
        "DataError: a.jpg is damaged",
    ),
    "trivial baseline": (
        "own = Own(mtl.data.DataError('a.jpg is damaged'))\n"
        "mtl.evaluation.trivial_baseline(own.batches('train'), own.test(), own.tasks)",
        "DataError: a.jpg is damaged",
    ),
}


@pytest.mark.parametrize("name", slow_but(("odd letters",), ERRORS))
def test_what_load_raises_comes_out_as_it_is(name, host):
    script, message = ERRORS[name]
    code, _, written = host(script)
    assert code == 1 and written.rstrip().endswith(message), written[-2000:]


@pytest.mark.parametrize("split", slow_but(("train",), ("train", "val", "test")))
def test_a_damaged_photograph(split, host, tmp_path):
    write_pack(tmp_path)
    code, _, written = host(f"""
import pathlib
data = mtl.data.NYUDv2({str(tmp_path)!r}, num_classes=40, input_shape=(32, 64, 3), batch_size=1)
photo = pathlib.Path({str(tmp_path)!r}, "rgb", data.ids({split!r})[-1] + ".jpg")
photo.write_bytes(photo.read_bytes()[:200])
for _ in data.{split}(): pass
""")
    assert code == 1 and re.search(r"DataError.*rgb/000\d\.jpg is damaged", written)


@pytest.mark.slow
def test_without_the_gate_these_tests_would_fail(host):
    without = (
        "import atexit\nfrom mtl_tf.data import python_calls\n"
        "atexit.unregister(python_calls._gate.close)\n"
    )
    names = ("global", "callback", "list", "repeat", "zip") * 2
    assert any(host(without + SCRIPTS[name][1], 10)[0] != SCRIPTS[name][0] for name in names)
