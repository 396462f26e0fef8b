#include "base/metrics.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <limits>
#include <string>

using namespace sandboxd;
using metrics::registry;

TEST_CASE("an empty registry exposes nothing", "[base][metrics]") { CHECK(registry{}.expose().empty()); }

TEST_CASE("counters and gauges, families sorted by name, one head each", "[base][metrics]")
{
    registry all;
    auto& ok = all.add_counter("requests_total", "Requests.", "status=\"200\"");
    auto& bad = all.add_counter("requests_total", "Another help, which does not count.", "status=\"404\"");
    auto& plain = all.add_counter("bytes_total", "Bytes.");
    double running = 3;
    all.add_gauge("running", "Jobs.", [&running] { return running; });
    all.add_gauge("running", "", [] { return 0.25; }, "kind=\"x\"");
    all.add_gauge("kills_total", "Kills.", [] { return 7.0; });
    ok.add();
    ok.add(41);
    bad.add();
    CHECK(ok.value() == 42);
    CHECK(plain.value() == 0);

    CHECK(all.expose() ==
          "# HELP bytes_total Bytes.\n"
          "# TYPE bytes_total counter\n"
          "bytes_total 0\n"
          "# HELP kills_total Kills.\n"
          "# TYPE kills_total counter\n"
          "kills_total 7\n"
          "# HELP requests_total Requests.\n"
          "# TYPE requests_total counter\n"
          "requests_total{status=\"200\"} 42\n"
          "requests_total{status=\"404\"} 1\n"
          "# HELP running Jobs.\n"
          "# TYPE running gauge\n"
          "running 3\n"
          "running{kind=\"x\"} 0.25\n");
    running = 4;
    CHECK(all.expose().find("\nrunning 4\n") != std::string::npos);
}

TEST_CASE("the same name and labels are the same counter, and references stay", "[base][metrics]")
{
    registry all;
    auto& first = all.add_counter("a_total", "A.", "x=\"1\"");
    for (int i = 0; i < 100; ++i) all.add_counter("a_total", "A.", "x=\"" + std::to_string(i) + "\"");
    for (int i = 0; i < 100; ++i) all.add_counter("b" + std::to_string(i) + "_total", "B.");
    first.add(5);
    CHECK(&first == &all.add_counter("a_total", "", "x=\"1\""));
    CHECK(all.expose().find("a_total{x=\"1\"} 5\n") != std::string::npos);
}

TEST_CASE("gauges are written so that Prometheus reads them back", "[base][metrics]")
{
    struct row {
        double value;
        const char* text;
    };
    const row rows[] = {
        {0, "0"},
        {-1, "-1"},
        {0.5, "0.5"},
        {0.0005, "0.0005"},
        {268435456, "268435456"},
        {9007199254740993.0, "9.007199254740992e+15"},
        {std::numeric_limits<double>::infinity(), "+Inf"},
        {-std::numeric_limits<double>::infinity(), "-Inf"},
        {std::numeric_limits<double>::quiet_NaN(), "NaN"},
    };
    for (const auto& row : rows) {
        registry all;
        all.add_gauge("g", "G.", [&row] { return row.value; });
        CHECK(all.expose() == "# HELP g G.\n# TYPE g gauge\ng " + std::string{row.text} + "\n");
    }
}

TEST_CASE("a histogram's buckets are cumulative; a bound belongs to its bucket", "[base][metrics]")
{
    metrics::histogram h;
    for (const double seconds : {0.0, 0.0005, 0.0006, 0.25, 59.0, 60.0, 61.0, 1000.0}) h.observe(seconds);
    CHECK(h.count() == 8);
    CHECK(std::abs(h.sum() - 1180.2511) < 1e-9);
    const std::uint64_t expected[] = {2, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 6};
    for (std::size_t i = 0; i < metrics::histogram::bounds.size(); ++i) {
        CAPTURE(i);
        CHECK(h.cumulative(i) == expected[i]);
    }
    CHECK(h.cumulative(metrics::histogram::bounds.size() - 1) + 2 == h.count());
}

TEST_CASE("a histogram's text", "[base][metrics]")
{
    registry all;
    auto& labelled = all.add_histogram("seconds", "Durations.", "route=\"/compile\"");
    all.add_histogram("seconds", "Durations.");
    labelled.observe(0.125);
    labelled.observe(0.5);
    labelled.observe(100);

    const std::string expected =
        "# HELP seconds Durations.\n"
        "# TYPE seconds histogram\n"
        "seconds_bucket{le=\"0.0005\"} 0\n"
        "seconds_bucket{le=\"0.001\"} 0\n"
        "seconds_bucket{le=\"0.0025\"} 0\n"
        "seconds_bucket{le=\"0.005\"} 0\n"
        "seconds_bucket{le=\"0.01\"} 0\n"
        "seconds_bucket{le=\"0.025\"} 0\n"
        "seconds_bucket{le=\"0.05\"} 0\n"
        "seconds_bucket{le=\"0.1\"} 0\n"
        "seconds_bucket{le=\"0.25\"} 0\n"
        "seconds_bucket{le=\"0.5\"} 0\n"
        "seconds_bucket{le=\"1\"} 0\n"
        "seconds_bucket{le=\"2.5\"} 0\n"
        "seconds_bucket{le=\"5\"} 0\n"
        "seconds_bucket{le=\"10\"} 0\n"
        "seconds_bucket{le=\"30\"} 0\n"
        "seconds_bucket{le=\"60\"} 0\n"
        "seconds_bucket{le=\"+Inf\"} 0\n"
        "seconds_sum 0\n"
        "seconds_count 0\n"
        "seconds_bucket{route=\"/compile\",le=\"0.0005\"} 0\n"
        "seconds_bucket{route=\"/compile\",le=\"0.001\"} 0\n"
        "seconds_bucket{route=\"/compile\",le=\"0.0025\"} 0\n"
        "seconds_bucket{route=\"/compile\",le=\"0.005\"} 0\n"
        "seconds_bucket{route=\"/compile\",le=\"0.01\"} 0\n"
        "seconds_bucket{route=\"/compile\",le=\"0.025\"} 0\n"
        "seconds_bucket{route=\"/compile\",le=\"0.05\"} 0\n"
        "seconds_bucket{route=\"/compile\",le=\"0.1\"} 0\n"
        "seconds_bucket{route=\"/compile\",le=\"0.25\"} 1\n"
        "seconds_bucket{route=\"/compile\",le=\"0.5\"} 2\n"
        "seconds_bucket{route=\"/compile\",le=\"1\"} 2\n"
        "seconds_bucket{route=\"/compile\",le=\"2.5\"} 2\n"
        "seconds_bucket{route=\"/compile\",le=\"5\"} 2\n"
        "seconds_bucket{route=\"/compile\",le=\"10\"} 2\n"
        "seconds_bucket{route=\"/compile\",le=\"30\"} 2\n"
        "seconds_bucket{route=\"/compile\",le=\"60\"} 2\n"
        "seconds_bucket{route=\"/compile\",le=\"+Inf\"} 3\n"
        "seconds_sum{route=\"/compile\"} 100.625\n"
        "seconds_count{route=\"/compile\"} 3\n";
    CHECK(all.expose() == expected);
}
