// A certificate for a host name, by an authority of its own, in files.
#pragma once

#include "support/command_output.hpp"
#include "support/temporary_directory.hpp"

#include <stdexcept>
#include <string>

namespace sandboxd::test {

class certificate {
public:
    explicit certificate(const std::string& host)
    {
        const auto in_here = "cd '" + here_.path().native() + "' && ";
        const std::string make =
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority "
            "-keyout ca.key -out ca.pem 2>&1 && "
            "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server -keyout server.key "
            "-out server.csr 2>&1 && "
            "printf 'subjectAltName=DNS:" +
            host +
            "' >names && openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
            "-extfile names -out server.pem 2>&1";
        const auto made = output_of(in_here + make);
        if (made.code != 0) throw std::runtime_error("openssl: " + made.out);
    }
    std::string chain() const { return here_ / "server.pem"; }
    std::string private_key() const { return here_ / "server.key"; }
    std::string authority() const { return here_ / "ca.pem"; }

private:
    temporary_directory here_;
};

}  // namespace sandboxd::test
