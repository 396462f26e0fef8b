// Asio's part that speaks TLS through OpenSSL, compiled once, as lib/boost.cpp does the rest.
#include <boost/asio/ssl/impl/src.hpp>
