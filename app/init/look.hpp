// `sandboxd-init --look`: what the server runs in a new jail when it starts, to see its walls from inside.
#pragma once

namespace sandboxd::init {

// Prints /proc/self/status and /proc/version, tries to change what is mounted, and prints /proc/net/dev. There is one
// line for each place in /proc/self/mountinfo:
//
//     mount <place> write=<how> chmod=<how> utimes=<how>
//
// <how> is ALLOWED or the name of the error; <place> is escaped as in mountinfo (proc_pid_mountinfo(5)). A place is
// looked up by its path, so it is the topmost mount there that is tried. What goes through changes nothing: the mode
// and the times are set to what they are, and what is made is removed. After them comes "looked <number of places>".
int look_main();

}  // namespace sandboxd::init
