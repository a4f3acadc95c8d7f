"""The style test itself: each rule must catch a bad snippet, name its line, and leave the good twin alone."""
import contextlib
import io
import pathlib
import re
import tempfile
import unittest

import rules
import tidy

UNFINISHED = "TO" + "DO"


class TidyTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("CMakeLists.txt", "\n".join([
            "sluice_library(core core Boost::json)", "sluice_library(adapter_asio adapters/asio core)", "sluice_library(adapter_http adapters/http)",
            "sluice_library(gateway gateway core)", "sluice_library(provider provider/local core)",
            "file(GLOB cli_sources CONFIGURE_DEPENDS cli/*.cpp)", "add_subdirectory(tests)"]))
        self.write("tests/CMakeLists.txt", "sluice_tests(unit core)\nfile(GLOB support_sources CONFIGURE_DEPENDS support/*.cpp)\n")

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".hpp") and not text.startswith("#pragma once"):
            text = "#pragma once\n" + text
        file.write_text(text)

    def findings(self, exceptions=()):
        return [f"{path}:{line}: {text}" for path, line, text in tidy.Tidy(self.root, list(exceptions)).run()]

    def assert_caught(self, begin, words=""):
        found = self.findings()
        self.assertTrue(any(f.startswith(begin) and words in f for f in found), f"{begin} .. {words}: not among {found}")

    def assert_clean(self):
        self.assertEqual(self.findings(), [])

    def body(self, code):
        return "void f()\n{\n    " + code + "\n}\n"

    # Includes

    def test_arrows_point_one_way(self):
        for path in ["include/sluice/a.hpp", "core/b.hpp", "adapters/asio/c.hpp", "gateway/gateway.hpp", "provider/local/provider.hpp"]:
            self.write(path, "struct s {};\n")
        user = '#include "{}"\nint x = gateway::y + provider::z;\n'
        wrong = [("include/sluice/u.hpp", "core/b.hpp"), ("core/u.cpp", "adapters/asio/c.hpp"), ("core/u.cpp", "gateway/gateway.hpp"),
                 ("adapters/asio/u.cpp", "gateway/gateway.hpp"), ("gateway/u.cpp", "provider/local/provider.hpp"),
                 ("provider/local/u.cpp", "gateway/gateway.hpp")]
        right = [("core/u.cpp", "sluice/a.hpp"), ("adapters/asio/u.cpp", "core/b.hpp"), ("gateway/u.cpp", "adapters/asio/c.hpp"),
                 ("gateway/u.cpp", "gateway/gateway.hpp"), ("cli/u.cpp", "gateway/gateway.hpp"), ("tests/unit/u_test.cpp", "gateway/gateway.hpp")]
        for path, name in wrong + right:
            self.write(path, user.format(name))
            found = [f for f in self.findings() if f.startswith(path) and ": layers: " in f]
            self.assertEqual(len(found), 1 if (path, name) in wrong else 0, f"{path} includes {name}: {found}")
            (self.root / path).unlink()

    def test_an_include_leads_to_a_file(self):
        self.write("core/a.cpp", '#include "b.hpp"\n')
        self.assert_caught("core/a.cpp:1: include", "from the root")

    def test_a_bench_may_name_its_neighbour(self):
        self.write("bench/CMakeLists.txt", "file(GLOB sources *.cpp)")
        self.write("bench/b.hpp", "")
        self.write("bench/a.cpp", '#include "b.hpp"\n')
        self.assert_clean()

    def test_an_include_in_a_comment_is_none(self):
        self.write("core/a.cpp", '// #include "gateway/x.hpp"\n/*\n#include "gateway/x.hpp"\n*/\n')
        self.assert_clean()

    def test_a_role_that_is_included_is_used(self):
        self.write("gateway/gateway.hpp", "")
        self.write("cli/a.cpp", '#include "gateway/gateway.hpp"\nint x = gateway::run();\n')
        self.assert_clean()
        self.write("cli/a.cpp", '#include "gateway/gateway.hpp"\nint x = 1; // gateway::run\n')
        self.assert_caught("cli/a.cpp:1: unused role")

    def test_third_party_headers_stay_in_their_adapter(self):
        for path in ["core/a.cpp", "gateway/a.cpp", "cli/a.cpp"]:
            for name in ["boost/asio/io_context.hpp", "nats.h", "nats/nats.h", "curl/curl.h", "prometheus/counter.h", "spdlog/logger.h", "openssl/ssl.h"]:
                self.write(path, f"#include <vector>\n#include <{name}>\n")
                self.assert_caught(f"{path}:2: third party", name)
            (self.root / path).unlink()
        self.write("adapters/asio/a.cpp", "#include <boost/asio/io_context.hpp>\n#include <sys/wait.h>\n#include <unistd.h>\n")
        self.assert_clean()
        self.write("adapters/asio/a.cpp", "#include <boost/beast/http.hpp>\n")
        self.assert_caught("adapters/asio/a.cpp:1: third party")
        self.write("adapters/asio/a.cpp", "#include <newlib/x.h>\n")
        self.assert_caught("adapters/asio/a.cpp:1: third party", "no table")

    def test_third_party_headers_do_not_leave_by_ours(self):
        self.write("adapters/http/private.hpp", "#include <boost/asio/io_context.hpp>\n")
        self.write("adapters/http/a.cpp", '#include "adapters/http/private.hpp"\n')
        self.assert_clean()
        self.write("gateway/a.cpp", '#include "adapters/http/private.hpp"\n')
        self.assert_caught("gateway/a.cpp:1: third party", "boost/asio")

    def test_core_is_pure(self):
        for name in ["fstream", "thread", "sys/socket.h", "unistd.h", "random"]:
            self.write("core/a.cpp", f"#include <string>\n#include <{name}>\n")
            self.assert_caught("core/a.cpp:2: pure core", name)
        self.write("core/a.cpp", self.body("auto t = std::chrono::steady_clock::now();"))
        self.assert_caught("core/a.cpp:3: clock")

    # Sizes

    def test_long_files_and_lines(self):
        self.write("core/a.cpp", "int x;\n" * rules.LINES_MAX["file"])
        self.assert_clean()
        self.write("core/a.cpp", "int x;\n" * (rules.LINES_MAX["file"] + 1))
        self.assert_caught("core/a.cpp:501: long file")
        self.write("core/a.cpp", "int x;\n// " + "x" * rules.COLUMNS_MAX)
        self.assert_caught("core/a.cpp:2: long line")

    def test_long_functions(self):
        fits = rules.LINES_MAX["function"] - 2
        self.write("core/a.cpp", "namespace n {\n\nvoid f()\n{\n" + "    g();\n" * fits + "}\n\nvoid h()\n{\n}\n}\n")
        self.assert_clean()
        self.write("core/a.cpp", "struct s {\n    void f()\n    {\n" + "        g();\n" * (fits + 1) + "    }\n};\n")
        self.assert_caught("core/a.cpp:3: long function", f"{fits + 3} lines")

    # Calls

    BAD_CALLS = {
        "sleep": ["sleep(1);", "usleep(10);", "::nanosleep(&t, nullptr);", "std::this_thread::sleep_for(1s);", "std::this_thread::sleep_until(t);"],
        "shell": ["system(\"ls\");", "std::system(x);", "auto* f = popen(\"ls\", \"r\");"],
        "fork": ["auto pid = fork();", "if (::vfork() == 0)", "posix_spawn(&pid, p, 0, 0, a, e);"],
        "environment": ["auto* x = getenv(\"HOME\");", "std::getenv(\"X\");", "::setenv(\"A\", \"b\", 1);"],
        "random": ["int x = std::rand();", "srand(1);"],
        "wall clock": ["auto t = time(nullptr);", "std::time(NULL);", "time(0);"],
        "threads": ["std::thread t(f);", "std::mutex m;", "std::async(f);"],
        "detached": ["co_spawn(x, f(), asio::detached);", "t.detach();"],
        "nats fetch": ["natsSubscription_Fetch(&list, s, 1, 1, &e);"],
        "nats ack": ["natsMsg_Ack(m, nullptr);", "natsMsg_Nak(m, nullptr);", "natsMsg_InProgress(m, nullptr);"],
        "nats blocking": ["js_Publish(&a, js, s, d, n, o, e);", "natsConnection_FlushTimeout(c, 1);", "kvStore_Get(&e, kv, k);"],
        "unbounded string": ["strcpy(a, b);", "sprintf(a, \"%s\", b);"],
        "number parsing": ["int x = atoi(s);", "std::atof(s);"],
        "temporary name": ["auto* n = tmpnam(nullptr);"],
        "blocking resolver": ["getaddrinfo(h, p, &i, &r);"],
        "regex": ["std::regex r(x);"],
        "namespace": ["using namespace std;"],
        "output": ["std::cout << x;", "printf(\"x\");", "std::fprintf(stderr, \"x\");"],
    }

    def test_banned_calls(self):
        for rule, snippets in self.BAD_CALLS.items():
            for snippet in snippets:
                self.write("gateway/a.cpp", self.body(snippet))
                self.assert_caught(f"gateway/a.cpp:3: {rule}: ")

    def test_every_banned_call_has_a_bad_snippet_and_an_advice(self):
        tried_elsewhere = {"clock", "stop"}
        self.assertEqual({rule for rule, *_ in rules.BANNED} - tried_elsewhere, set(self.BAD_CALLS))
        for _, pattern, folders, advice in rules.BANNED:
            re.compile(pattern)
            self.assertTrue(folders and len(advice) > 10)

    def test_the_loop_is_not_stopped(self):
        self.write("gateway/a.cpp", self.body("loop.context().stop();"))
        self.assert_caught("gateway/a.cpp:3: stop")

    def test_what_only_looks_like_a_banned_call_passes(self):
        for harmless in ["// sleep(1) would block", "/* system(x) */", "log(\"sleep(1)\");", "log(R\"(std::rand() \" sleep(1))\");", "x.sleepless(1);",
                         "std::system_category();", "auto c = 'a'; wakeup(1'000'000); f('\"');", "run_time(0);", "lifetime(nullptr);", "operand();",
                         "limits.system();", "snprintf(a, n, f);"]:
            self.write("gateway/a.cpp", self.body(harmless))
            self.assertEqual(self.findings(), [], harmless)

    def test_a_string_hides_nothing_after_it(self):
        for before in ["log(\"a\\\"\"); ", "log('\"'); ", "f(1'000, '\\''); ", "log(R\"x(\")x\"); ", "/* \" */ "]:
            self.write("gateway/a.cpp", self.body(before + "sleep(1);"))
            self.assert_caught("gateway/a.cpp:3: sleep")

    def test_tests_may_what_the_product_may_not(self):
        self.write("tests/unit/a_test.cpp", "TEST(a, b)\n{\n    std::thread t(f);\n    EXPECT_TRUE(getenv(\"HOME\"));\n}\n")
        self.assert_clean()
        self.write("tests/unit/a_test.cpp", "TEST(a, b)\n{\n    sleep(1);\n    EXPECT_TRUE(x);\n}\n")
        self.assert_caught("tests/unit/a_test.cpp:3: sleep")
        (self.root / "tests/unit/a_test.cpp").unlink()
        self.write("tests/e2e/a_test.py", "import time\ntime" + ".sleep(1)\n")
        self.assert_caught("tests/e2e/a_test.py:2: sleep")

    def test_a_test_asserts_something(self):
        self.write("tests/unit/helper.hpp", "inline void hidden(int x)\n{\n    EXPECT_EQ(x, 1);\n}\n")
        self.write("tests/unit/a_test.cpp", """#include "tests/unit/helper.hpp"
void run(int x)
{
    start(x);
}
class c {
    void both(int x) const
    {
        hidden(x);
    }
};
TEST(a, good)
{
    ASSERT_TRUE(x);
}
TEST(a, by_another)
{
    hidden(x);
}
TEST_F(a, by_two_others)
{
    both(x);
}
TEST_F(a, bad)
{
    run(x); // EXPECT_TRUE
}
""")
        self.assert_caught("tests/unit/a_test.cpp:24: asserts nothing", "a, bad")
        self.assertEqual(len(self.findings()), 1)

    # Files

    def test_dead_files(self):
        self.write("core/used.hpp", "")
        self.write("core/a.cpp", '#include "core/used.hpp"\n')
        self.write("tests/support/b.cpp", "")
        self.assert_clean()
        self.write("core/unused.hpp", "")
        self.write("core/deeper/c.cpp", "")
        self.write("tests/unit/helper.cpp", "")
        self.assert_caught("core/unused.hpp:1: dead file", "nobody includes")
        self.assert_caught("core/deeper/c.cpp:1: dead file", "builds")
        self.assert_caught("tests/unit/helper.cpp:1: dead file", "builds")
        self.assertEqual(len(self.findings()), 3)

    def test_headers_are_included_once(self):
        (self.root / "core").mkdir()
        (self.root / "core/a.hpp").write_text("int x;\n")
        self.write("core/a.cpp", '#include "core/a.hpp"\n')
        self.assert_caught("core/a.hpp:1: pragma")

    def test_words_that_do_not_belong(self):
        for name, text in [("core/a.cpp", "// " + UNFINISHED + ": later\n"), ("docs/a.md", "see /home/" + "somebody/x\n"), ("a.py", "# /root/" + "x\n")]:
            self.write(name, text)
            self.assert_caught(f"{name}:1: ")
            (self.root / name).unlink()

    # Exceptions

    def test_exceptions_are_for_one_rule_of_one_file_and_end_with_their_reason(self):
        exception = ("gateway/a.cpp", "sleep", "reason")
        self.write("gateway/a.cpp", self.body("sleep(1);"))
        self.assertEqual(self.findings([exception]), [])
        self.write("gateway/b.cpp", self.body("sleep(1);"))
        self.assertEqual(len(self.findings([exception])), 1)
        (self.root / "gateway/b.cpp").unlink()
        self.write("gateway/a.cpp", self.body("g();"))
        self.assertIn("remove it", self.findings([exception])[0])

    def test_all_exceptions_have_a_reason(self):
        for pattern, rule, reason in rules.EXCEPTIONS:
            self.assertTrue(pattern and rule and len(reason) > 10)

    def test_it_exits_with_its_findings(self):
        self.write("gateway/a.cpp", self.body("sleep(1);"))
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            self.assertEqual(tidy.main([str(self.root)]), 1)
        self.assertIn("gateway/a.cpp:3: sleep: sleep(: wait with", output.getvalue())


if __name__ == "__main__":
    unittest.main()
