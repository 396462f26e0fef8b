#include "jail/environment.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace sandboxd::jail;

TEST_CASE("a variable that is set again keeps its place and gets the later value", "[jail]")
{
    environment env{{"PATH", "/bin"}, {"HOME", "/tmp"}};
    set_variables(env, {{"HOME", "/home"}, {"PORT", "1"}, {"PORT", "2"}});
    set_variable(env, "EMPTY", "");
    CHECK(env == environment{{"PATH", "/bin"}, {"HOME", "/home"}, {"PORT", "2"}, {"EMPTY", ""}});
}
