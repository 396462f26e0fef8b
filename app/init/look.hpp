// `sandboxd-init --look`: the server runs it in a new jail at start, to check the walls from inside.
#pragma once

namespace sandboxd::init {

// Prints /proc/self/status and /proc/version, tries to change every mount, and prints /proc/net/dev. There is one
// line for each place in /proc/self/mountinfo:
//
//     mount <place> write=<how> chmod=<how> utimes=<how>
//
// <how> is ALLOWED or the name of the error; <place> is escaped as in mountinfo (proc_pid_mountinfo(5)). A place is
// looked up by its path, so the topmost mount is tried. A successful attempt changes nothing: it sets mode and times
// to their current values, and removes what it makes. After the lines comes "looked <number of places>".
int look_main();

}  // namespace sandboxd::init
