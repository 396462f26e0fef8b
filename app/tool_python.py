# emcc's Python, started once (app/tool_host.cpp): imports what emcc imports, and forks a process for each call, in the
# jail of its job. There the driver's own file runs as it does when Python is given it; only the start of other tools
# that wait in the jail goes another way: their process is forked by them, and not executed by us.
#
#     python3 tool_python.py LIBRARY DIRECTORY HOME DRIVER…
#
# LIBRARY: app/tool_host.cpp. DIRECTORY: with the drivers' files, DRIVER.py. HOME: that of the jails; the one of this
# process is another, where nobody can lay anything for emcc to find.
import sys

library, directory, home, drivers = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
# What emcc makes of the name that it was called by is known when a call comes (run).
NO_DRIVER = 'sandboxd-no-driver'
sys.argv = [f'{directory}/{NO_DRIVER}.py']
# As for a script that lies there; this one lies nowhere.
sys.path[0] = directory

import atexit
import builtins
import ctypes
import gc
import io
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
import traceback
import types

SOCKET_NAME = b'\0sandboxd-tool-'
# The most that one call may bring (protocol::most_call_bytes).
MOST_BYTES = 4 << 20
# The most of a question (protocol::most_ask_input, protocol::most_ask_arguments).
MOST_INPUT = 512 * 1024
MOST_WORDS = 4096
# What a source begins with (most_preamble_bytes).
MOST_PREAMBLE = 16 * 1024
# The topic of times, and the steps whose times are told (protocol::step_names), as their programs are called.
TIMES = 3
STEPS = ('clang', 'llvm-nm', 'wasm-ld', 'wasm-emscripten-finalize', 'wasm-opt', 'wasm-metadce', 'llvm-objcopy',
         'compiler.', 'acorn-optimizer.')
# Whether a known answer was of use (protocol::taken, protocol::not_taken).
TAKEN, NOT_TAKEN = b't', b'n'
# What is told to the server at the most: one packet.
MOST_TOLD = 60000

tools = {}  # real path: number
clang = None  # its number
node = []  # how emcc starts Node.js
# Scripts that are functions of their arguments and their input (protocol::topic).
scripts = {os.path.join(directory, place, name + suffix): topic
           for topic, (place, name) in enumerate((('src', 'compiler'), ('tools', 'acorn-optimizer')))
           for suffix in ('.mjs', '.js')}
# Passes of the optimizer that print, or write nothing, whatever file is named.
PRINTING = ('--no-print', 'noPrint', 'emitDCEGraph', 'dump')
PREAMBLE = 2
CXX_SUFFIXES = ('.cpp', '.cc', '.cxx', '.c++', '.C', '.CPP', '.CC', '.CXX')
asks = None  # the socket for questions


def call_of(args, executable, env):
  """What a tool is to get, and its number; None where it is to be executed."""
  if isinstance(args, (str, bytes)) or not args:
    return None
  words = [os.fsencode(one) for one in args]
  program = os.fsencode(executable) if executable is not None else words[0]
  if b'/' not in program:
    # As execvpe(3) looks, which subprocess does by itself.
    for place in os.get_exec_path(env):
      candidate = os.path.join(os.fsencode(place), program)
      if os.access(candidate, os.X_OK):
        program = candidate
        break
  number = tools.get(os.path.realpath(program))
  if number is None:
    return None
  variables = os.environb if env is None else {os.fsencode(k): os.fsencode(v) for k, v in env.items()}
  words += [k + b'=' + v for k, v in variables.items()]
  text = b''.join(word + b'\0' for word in words)
  if len(text) > MOST_BYTES or text.count(b'\0') != len(words):
    return None
  return number, struct.pack('=III', len(args), len(variables), len(text)), text


def receive(from_, size):
  text = bytearray()
  while len(text) < size:
    piece = from_.recv(size - len(text))
    if not piece:
      raise OSError('the server has gone')
    text += piece
  return bytes(text)


def put(to, text):
  while text:
    text = text[os.write(to, text):]


def ask(step, words, text):
  """Puts a question to the server; the answer is for the caller to read."""
  asks.sendall(struct.pack('=III', step, len(words), len(text)) + words + text)


def ask_no_more():
  global asks
  asks.close()
  asks = None


def start(call, cwd, *given):
  """Starts a call of a tool that waits in this jail; the socket on which its end is told."""
  number, head, text = call
  directory = os.open('.' if cwd is None else cwd, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
  try:
    to = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    to.connect(SOCKET_NAME + bytes([97 + number]))
    socket.send_fds(to, [head], [*given[:3], directory, *given[3:]])
    to.sendall(text)
    return to
  finally:
    os.close(directory)


spent = [0] * (len(STEPS) + 1)  # nanoseconds


def note(args, since):
  """That this command, which has ended, began then."""
  words = args if isinstance(args, (list, tuple)) else [args]
  names = [os.path.basename(os.fsdecode(word)) for word in words[:1 + len(node)]]
  step = next((at for at, name in enumerate(STEPS) if any(one.startswith(name) for one in names)), len(STEPS))
  spent[step] += time.monotonic_ns() - since


def tell_times():
  try:
    if asks is not None:
      ask(TIMES, b'', struct.pack(f'={len(spent)}I', *(min(one // 1000, 0xffffffff) for one in spent)))
  except OSError:
    pass


def compiles(args):
  """The C++ source that clang is to compile, and its arguments without that and the output; None: it is no such call."""
  sources, others = [], []
  words = iter(args[1:])
  compiling = False
  for word in words:
    if word == '-c':
      compiling = True
    elif word == '-o':
      next(words, None)
    elif word in ('-Xclang', '-mllvm', '-target'):
      others += [word, next(words, '')]
    elif word.startswith('-'):
      others.append(word)
    else:
      sources.append(word)
  if not compiling or len(sources) != 1 or not sources[0].endswith(CXX_SUFFIXES):
    return None
  return sources[0], others


def compile_known(args, executable, cwd, env):
  """Compiles with a precompiled preamble, if there is one, and if all is well with it and the source: what the
  compiler has to say, it is to say as ever, so that each place is called by its own name."""
  try:
    found = compiles(args)
    call = call_of(args, executable, env) if found is not None else None
    if call is None or call[0] != clang:
      return False
    source, others = found
    with open(os.path.join(cwd or '.', source), 'rb') as file:
      beginning = file.read(MOST_PREAMBLE)
    words = b''.join(os.fsencode(word) + b'\0' for word in others)
  except (OSError, ValueError):
    return False
  if len(words) > MOST_WORDS:
    return False
  try:
    ask(PREAMBLE, words, beginning)
    head, given, _, _ = socket.recv_fds(asks, 8, 1)
    known, size = struct.unpack('=II', head + receive(asks, 8 - len(head)))
    if not known:
      return False
  except (OSError, struct.error):
    ask_no_more()
    return False
  done = False
  try:
    with tempfile.TemporaryFile(buffering=0) as said:
      more = ['-Xclang', '-include-pch', '-Xclang', '/proc/self/fd/3', '-Xclang', f'-preamble-bytes={size},1']
      call = call_of([*args, *more], executable, env)
      to = start(call, cwd, 0, said.fileno(), said.fileno(), *given)
      with to:
        told = to.recv(4, socket.MSG_WAITALL)
      done = told == bytes(4) and said.tell() == 0
  except (OSError, TypeError):
    pass
  for one in given:
    os.close(one)
  try:
    asks.sendall(TAKEN if done else NOT_TAKEN)
  except OSError:
    ask_no_more()
  return done


class Popen(subprocess.Popen):
  """A child of a tool that waits in this jail, where there is one."""
  _call = None

  def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags,
                     shell, p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *others, **more):
    self._began = time.monotonic_ns()
    if shell or preexec_fn is not None or pass_fds or not (
        self._look_up(args, executable, cwd, p2cread, c2pread, c2pwrite, errwrite) or
        self._compile(args, executable, cwd, env, p2cread, c2pwrite, errwrite) or
        self._send(args, executable, cwd, env, p2cread, c2pwrite, errwrite)):
      return super()._execute_child(args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo,
                                    creationflags, shell, p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite,
                                    *others, **more)
    # As the other way closes what was for the child.
    null = getattr(self, '_devnull', None)
    for ours, its in ((p2cwrite, p2cread), (c2pread, c2pwrite), (errread, errwrite)):
      if ours != -1 and its != -1 and its != null:
        os.close(its)
    if null is not None:
      os.close(null)
    if self.returncode is not None:
      note(args, self._began)
    self._closed_child_pipe_fds = True
    self._child_created = True
    self.pid = 0

  def _send(self, args, executable, cwd, env, stdin, stdout, stderr):
    call = call_of(args, executable, env)
    if call is None:
      return False
    try:
      to = start(call, cwd, 0 if stdin == -1 else stdin, 1 if stdout == -1 else stdout, 2 if stderr == -1 else stderr)
    except OSError:
      return False
    self._call = to
    return True

  def _compile(self, args, executable, cwd, env, stdin, stdout, stderr):
    if asks is None or (stdin, stdout, stderr) != (-1, -1, -1) or not compile_known(list(args), executable, cwd, env):
      return False
    self.returncode = 0
    return True

  def _look_up(self, args, executable, cwd, stdin, read_end, stdout, stderr):
    """Whether the server knows what the program would print; then it is where the caller looks for it."""
    if asks is None or executable is not None or stdin != -1 or stderr != -1:
      return False
    args = list(args)
    count = len(node) + 1
    if args[:len(node)] != node or len(args) <= count or args[len(node)] not in scripts:
      return False
    # Later versions of emcc name a file for what earlier ones read from a pipe.
    output = None
    if stdout == -1:
      if cwd is not None or args[-2:-1] != ['-o'] or len(args) <= count + 2:
        return False
      *args, _, output = args
    if '-o' in args[count + 1:] or (output is not None and any(one in PRINTING for one in args[count + 1:])):
      return False
    try:
      with open(args[count], 'rb') as file:
        question = file.read(MOST_INPUT + 1)
      words = b''.join(os.fsencode(word) + b'\0' for word in args[count + 1:])
      if len(question) > MOST_INPUT or len(words) > MOST_WORDS:
        return False
      ask(scripts[args[len(node)]], words, question)
      known, size = struct.unpack('=II', receive(asks, 8))
      if not known:
        return False
      answer = receive(asks, size)
      if output is not None:
        with open(output, 'wb') as file:
          file.write(answer)
      elif read_end == -1:
        put(stdout, answer)
      else:
        # A pipe would not hold it, and files in memory are refused in a jail.
        with tempfile.TemporaryFile(buffering=0) as held:
          put(held.fileno(), answer)
          held.seek(0)
          os.dup2(held.fileno(), read_end, inheritable=False)
      asks.sendall(TAKEN)
    except (OSError, ValueError, struct.error):
      ask_no_more()
      return False
    self.returncode = 0
    return True

  def _take(self, timeout):
    if self.returncode is None:
      self._call.settimeout(timeout)
      try:
        told = self._call.recv(4, socket.MSG_WAITALL)
      except (BlockingIOError, TimeoutError):
        return None
      except OSError:
        told = b''
      self._call.close()
      # It vanished: as if it had been killed.
      status = struct.unpack('=i', told)[0] if len(told) == 4 else 9
      self.returncode = os.waitstatus_to_exitcode(status)
      note(self.args, self._began)
    return self.returncode

  def _handle_exitstatus(self, *args, **more):
    super()._handle_exitstatus(*args, **more)
    note(self.args, self._began)

  def _wait(self, timeout=None):
    if self._call is None:
      return super()._wait(timeout=timeout)
    if self._take(timeout) is None:
      raise subprocess.TimeoutExpired(self.args, timeout)
    return self.returncode

  def _internal_poll(self, *args, **more):
    if self._call is None:
      return super()._internal_poll(*args, **more)
    return self._take(0)

  def send_signal(self, number):
    if self._call is None:
      super().send_signal(number)


def find_tools():
  """The real paths of what emcc starts and is worth to be started already."""
  from tools import config
  found = []
  for root, names in ((config.LLVM_ROOT, ('clang', 'wasm-ld', 'llvm-nm', 'llvm-objcopy')),
                      (os.path.join(config.BINARYEN_ROOT, 'bin'),
                       ('wasm-emscripten-finalize', 'wasm-opt', 'wasm-metadce'))):
    for name in names:
      for suffix in (config.CLANG_ADD_VERSION if name == 'clang' else config.LLVM_ADD_VERSION, None):
        path = os.path.join(root, name + ('-' + suffix if suffix else ''))
        if os.access(path, os.X_OK):
          real = os.path.realpath(path)
          if real not in found:
            found.append(real)
          break
  return found


def node_command():
  """Empty where it is not a plain list of words that begins with a path."""
  from tools import config
  words = getattr(config, 'NODE_JS', None)
  words = [words] if isinstance(words, str) else words
  if isinstance(words, list) and words and all(isinstance(one, str) and one for one in words) and words[0][0] == '/':
    return words
  return []


def read_files():
  """What Python has read, and the scripts whose answers may be known; as many as one packet holds."""
  read = {module.__file__ for module in list(sys.modules.values()) if getattr(module, '__file__', None)}
  read.update(node[:1])
  for place in ('src', 'tools'):
    for top, _, names in os.walk(os.path.join(directory, place)):
      read.update(os.path.join(top, name) for name in names if name.endswith(('.js', '.mjs')))
  told = []
  left = MOST_TOLD
  # What is nearest to emcc first.
  for path in sorted(read, key=lambda one: (not one.startswith(directory), one)):
    left -= len(os.fsencode(path)) + 1
    if left < 0:
      break
    if path.startswith('/'):
      told.append(path)
  return told


def holds(value, text, depth=0):
  if isinstance(value, str):
    return text in value
  if depth < 3 and isinstance(value, (list, tuple)):
    return any(holds(one, text, depth + 1) for one in value)
  return False


named = []  # (module, name, value) of what has NO_DRIVER in it


def load():
  """Imports all that the drivers import; their files, compiled."""
  code = {}
  for name in drivers:
    path = os.path.join(directory, name + '.py')
    with io.open_code(path) as file:
      code[name] = compile(file.read(), path, 'exec')
  import emcc  # noqa: F401
  not_home = os.environ['HOME']
  for module in list(sys.modules.values()):
    if getattr(module, '__file__', None) and module.__file__.startswith(directory):
      for key, value in list(vars(module).items()):
        if isinstance(value, str) and value.startswith(not_home):
          setattr(module, key, home + value[len(not_home):])
        elif isinstance(value, str) and NO_DRIVER in value and not key.startswith('__'):
          named.append((module, key, value))
        elif holds(value, not_home):
          sys.exit(f'{module.__name__}.{key} depends on HOME')
        elif holds(value, NO_DRIVER):
          sys.exit(f'{module.__name__}.{key} depends on the name of the program')
  # What was copied from the environment on the way.
  for one in gc.get_objects():
    if type(one) is dict and one.get('HOME') == not_home:
      one['HOME'] = home
  os.environ['HOME'] = home
  return code


def run(code, words):
  """The file as Python runs it; returns the exit status."""
  sys.argv = words
  driver = os.path.splitext(os.path.basename(words[0]))[0]
  for module, key, value in named:
    setattr(module, key, value.replace(NO_DRIVER, driver))
  main = types.ModuleType('__main__')
  main.__file__ = words[0]
  main.__builtins__ = builtins
  sys.modules['__main__'] = main
  status = 0
  try:
    exec(code, vars(main))
  except SystemExit as end:
    if end.code is None or isinstance(end.code, int):
      status = (end.code or 0) & 0xff
    else:
      print(end.code, file=sys.stderr)
      status = 1
  except BaseException:
    kind, value, trace = sys.exc_info()
    traceback.print_exception(kind, value, trace.tb_next)
    status = 1
  return status


def end(status):
  """As the interpreter ends, without taking everything down first."""
  if 'threading' in sys.modules:
    sys.modules['threading']._shutdown()
  atexit._run_exitfuncs()
  tell_times()
  for stream in (sys.stdout, sys.stderr):
    try:
      stream.flush()
    except Exception:
      status = 120
  os._exit(status)


class Work(ctypes.Structure):
  _fields_ = [('argc', ctypes.c_int), ('argv', ctypes.POINTER(ctypes.c_char_p)),
              ('envp', ctypes.POINTER(ctypes.c_char_p)), ('asks', ctypes.c_int)]


def serve():
  global tools, clang, node, asks
  code = load()
  found = find_tools()
  tools = {os.fsencode(path): number for number, path in enumerate(found, 1)}
  # The first of them, where there is one.
  clang = next((number for path, number in tools.items() if os.path.basename(path).startswith(b'clang')), None)
  node = node_command()
  subprocess.Popen = Popen
  told = b''.join(os.fsencode(word) + b'\0' for word in [*found, '', *node, '', *read_files()])
  host = ctypes.PyDLL(library)
  host.sandboxd_tool_serve.restype = ctypes.POINTER(Work)
  host.sandboxd_tool_serve.argtypes = [ctypes.c_char_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_void_p]
  # As os.fork calls them: since 3.13 the second one unlocks what the first one has locked.
  around_forks = [ctypes.cast(function, ctypes.c_void_p)
                  for function in (ctypes.pythonapi.PyOS_BeforeFork, ctypes.pythonapi.PyOS_AfterFork_Child)]
  gc.collect()
  gc.freeze()
  work = host.sandboxd_tool_serve(told, len(told), *around_forks).contents
  # In the call's process, whose signals are as they come: as the interpreter has them when it starts.
  for number in (signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(number, signal.SIG_IGN)
  signal.signal(signal.SIGINT, signal.default_int_handler)
  words = [os.fsdecode(work.argv[i]) for i in range(work.argc)]
  if work.asks >= 0:
    asks = socket.socket(fileno=work.asks)
  name = os.path.basename(words[0])
  words[0] = os.path.join(directory, name + '.py')
  return code[name], words


end(run(*serve()))
