#include "tests/integration/provider_fixture.hpp"
#include "tests/support/role_main.hpp"

#include <algorithm>

namespace sluice::test {

namespace {

class provider_replicas : public provider_test {};

std::string file_text(const std::string& path)
{
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

}

TEST_F(provider_replicas, a_deployed_function_gets_a_ready_endpoint_that_answers)
{
    start();
    deploy(make_spec("hash", "sha512sum", {{"max_inflight", "5"}}));
    ASSERT_TRUE(ready("hash"));
    const auto to = view_->ready("hash").front();
    EXPECT_EQ(to.max_inflight, 5U);
    EXPECT_EQ(view_->of("hash")->desired, 1U);
    const auto got = call(to, "test");
    ASSERT_TRUE(got);
    EXPECT_TRUE(got->reply.body.starts_with("ee26b0dd4af7e749aa1a8ee3c10ae992")) << got->reply.body;
    auto wrong = to;
    wrong.token.back() = wrong.token.back() == '0' ? '1' : '0';
    EXPECT_EQ(call(wrong, "test")->reply.status, 401U);
}

TEST_F(provider_replicas, a_function_sees_its_own_environment_and_nothing_of_ours)
{
    start();
    deploy(make_spec("env", "env", {{"greeting", "hello"}, {"cgi_headers", "false"}}));
    deploy(make_spec("fds", "ls /proc/self/fd"));
    deploy(make_spec("id", "id -u"));
    deploy(make_spec("pwd", "pwd"));
    for (const char* name : {"env", "fds", "id", "pwd"})
        ASSERT_TRUE(ready(name)) << name;
    const auto to = view_->ready("env").front();
    auto text = call(to)->reply.body;
    std::vector<std::string> names;
    for (std::size_t at = 0, end; (end = text.find('\n', at)) != text.npos; at = end + 1)
        names.push_back(text.substr(at, text.find('=', at) - at));
    std::sort(names.begin(), names.end());
    EXPECT_EQ(names, (std::vector<std::string>{"HOME", "PATH", "Sluice_Call", "Sluice_Replica", "cgi_headers", "fprocess", "greeting"}))
        << text;
    EXPECT_EQ(call(view_->ready("fds").front())->reply.body, "0\n1\n2\n3\n"); // 3: the folder that ls reads
    const auto user = ::geteuid() == 0 ? 65534U : ::geteuid();
    EXPECT_EQ(call(view_->ready("id").front())->reply.body, std::to_string(user) + '\n');
    EXPECT_TRUE(call(view_->ready("pwd").front())->reply.body.starts_with(given_.work_folder + "/openfaas-fn.pwd-"));
    for (const auto& record : records()) {
        const auto process = "/proc/" + std::to_string(record.pid);
        EXPECT_EQ(file_text(process + "/cmdline").find(record.token), std::string::npos);
        EXPECT_EQ(file_text(process + "/environ").find(record.token), std::string::npos);
        EXPECT_EQ(file_text(process + "/environ").find("hello"), std::string::npos);
    }
}

TEST_F(provider_replicas, an_image_that_is_a_folder_is_the_working_folder)
{
    const auto folder = folder_ / "function";
    std::filesystem::create_directory(folder);
    std::ofstream(folder + "/data") << "content";
    start();
    auto spec = make_spec("file", "cat data");
    spec.image = "file:" + folder;
    deploy(spec);
    ASSERT_TRUE(ready("file"));
    EXPECT_EQ(call(view_->ready("file").front())->reply.body, "content");
}

TEST_F(provider_replicas, a_killed_replica_is_replaced)
{
    start();
    deploy(make_spec("cat", "cat"));
    ASSERT_TRUE(ready("cat"));
    const auto before = view_->ready("cat").front();
    const auto record = records().front();
    ASSERT_TRUE(process::signal({record.pid, record.start_ticks}, SIGKILL));
    ASSERT_TRUE(
        poll_until(loop_, [&] { return view_->ready("cat").size() == 1 && view_->ready("cat").front().replica != before.replica; }));
    EXPECT_EQ(call(view_->ready("cat").front(), "x")->reply.body, "x");
    EXPECT_FALSE(std::filesystem::exists(record.folder));
}

TEST_F(provider_replicas, a_new_version_is_ready_before_the_old_one_leaves)
{
    start();
    deploy(make_spec("version", "echo one"));
    ASSERT_TRUE(ready("version"));
    const auto old = records().front();
    view_->history.clear();
    deploy(make_spec("version", "echo two"));
    ASSERT_TRUE(poll_until(loop_, [&] { return !runs(old) && records().size() == 1; }));
    EXPECT_EQ(call(view_->ready("version").front())->reply.body, "two\n");
    for (const auto& said : view_->history["openfaas-fn.version"])
        EXPECT_TRUE(std::any_of(said.replicas.begin(), said.replicas.end(), [](const auto& each) { return each.ready; }));
}

TEST_F(provider_replicas, a_new_version_that_never_gets_ready_leaves_the_old_one_alone)
{
    start();
    deploy(make_spec("version", "echo one"));
    ASSERT_TRUE(ready("version"));
    deploy(make_spec("version", "false", {{"mode", "http"}}));
    ASSERT_TRUE(poll_until(loop_, [&] { return meters_.text().find("replica_failures_total 2") != std::string::npos; }));
    EXPECT_EQ(call(view_->ready("version").front())->reply.body, "one\n");
}

TEST_F(provider_replicas, a_call_that_runs_survives_an_update)
{
    start();
    const auto go = folder_ / "go";
    std::ofstream(folder_ / "wait.sh") << "#!/bin/sh\ntouch started; while [ ! -e " << go
                                       << " ]; do read x < /proc/uptime; done; echo late\n";
    std::filesystem::permissions(folder_ / "wait.sh", std::filesystem::perms(0755));
    deploy(make_spec("wait", folder_ / "wait.sh"));
    ASSERT_TRUE(ready("wait"));
    const auto old = records().front();
    std::optional<outcome> got;
    http::client_request request;
    const auto to = view_->ready("wait").front();
    request.host = to.host;
    request.port = to.port;
    request.head = "Sluice-Replica-Token: " + to.token + "\r\n";
    request.deadline = generous;
    client_.call(std::move(request), [&](outcome result) { got = std::move(result); });
    ASSERT_TRUE(poll_until(loop_, [&] { return std::filesystem::exists(old.folder + "/started"); }));
    deploy(make_spec("wait", "echo new"));
    ASSERT_TRUE(poll_until(loop_, [&] {
        const auto now = view_->ready("wait");
        return now.size() == 1 && now.front().replica != to.replica;
    }));
    EXPECT_TRUE(runs(old));
    std::ofstream(go) << "go";
    ASSERT_TRUE(poll_until(loop_, [&] { return got && !runs(old); }));
    EXPECT_EQ(got->reply.body, "late\n");
}

TEST_F(provider_replicas, readiness_that_is_lost_is_reported_and_comes_back)
{
    const auto server = folder_ / "server.py";
    std::ofstream(server) << "import http.server, os\n"
                             "class answers(http.server.BaseHTTPRequestHandler):\n"
                             "    def do_GET(self):\n"
                             "        self.send_response(503 if os.path.exists('"
                          << folder_ / "sick"
                          << "') else 200)\n"
                             "        self.send_header('Content-Length', '0')\n"
                             "        self.end_headers()\n"
                             "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), answers).serve_forever()\n";
    start();
    deploy(make_spec("server", "/usr/bin/python3 " + server, {{"mode", "http"}, {"ready_path", "/ready"}}));
    ASSERT_TRUE(ready("server"));
    const auto before = records();
    std::ofstream(folder_ / "sick") << "sick";
    ASSERT_TRUE(poll_until(loop_, [&] { return view_->of("server")->trouble.has_value(); }));
    EXPECT_EQ(view_->of("server")->trouble->reason, "its ready_path /ready answers 503");
    EXPECT_TRUE(view_->ready("server").empty());
    std::filesystem::remove(folder_ / "sick");
    ASSERT_TRUE(ready("server"));
    EXPECT_EQ(view_->of("server")->trouble, std::nullopt);
    EXPECT_EQ(records(), before) << "it may have been busy: it was left alone";
}

TEST_F(provider_replicas, a_replica_that_stopped_answering_is_started_anew)
{
    start();
    deploy(make_spec("cat", "cat"));
    ASSERT_TRUE(ready("cat"));
    given_.start_deadline = std::chrono::milliseconds(200); // only now: its start may take longer on a busy machine
    const auto hangs = records().front();
    ASSERT_TRUE(process::signal({hangs.pid, hangs.start_ticks}, SIGSTOP));
    ASSERT_TRUE(poll_until(loop_, [&] { return !runs(hangs) && view_->ready("cat").size() == 1; }));
    EXPECT_NE(records().front(), hangs);
}

TEST_F(provider_replicas, labels_say_how_many)
{
    start();
    auto spec = make_spec("many", "cat");
    spec.labels["com.openfaas.scale.min"] = "3";
    deploy(spec);
    ASSERT_TRUE(ready("many", 3));
    const auto before = view_->ready("many");
    spec.labels["com.openfaas.scale.max"] = "2";
    deploy(spec);
    ASSERT_TRUE(ready("many", 2));
    for (const auto& each : view_->ready("many"))
        EXPECT_TRUE(std::any_of(before.begin(), before.end(), [&](const auto& other) { return other.replica == each.replica; }))
            << "a label starts no process anew";
}

TEST_F(provider_replicas, the_machine_has_a_bound)
{
    given_.replicas_max = 2;
    start();
    auto spec = make_spec("many", "cat");
    spec.labels["com.openfaas.scale.min"] = "5";
    deploy(spec);
    ASSERT_TRUE(ready("many", 2));
    EXPECT_EQ(records().size(), 2U);
    EXPECT_EQ(view_->of("many")->desired, 5U);
    ASSERT_TRUE(loop_until(loop_, [&] { return view_->of("many")->trouble.has_value(); }));
    EXPECT_TRUE(view_->of("many")->trouble->reason.starts_with("replicas_max is reached")) << view_->of("many")->trouble->reason;
    const auto dies = records().front();
    ASSERT_TRUE(process::signal({dies.pid, dies.start_ticks}, SIGKILL));
    ASSERT_TRUE(loop_until(loop_, [&] { return view_->of("many")->trouble && view_->of("many")->trouble->restarts == 1; }));
    EXPECT_NE(view_->of("many")->trouble->reason.find("killed"), std::string::npos) << view_->of("many")->trouble->reason;
    ASSERT_TRUE(ready("many", 2));
    EXPECT_TRUE(view_->of("many")->trouble->reason.starts_with("replicas_max is reached")) << "a failure that is over says nothing";
    deploy(make_spec("waits", "cat"));
    ASSERT_TRUE(loop_until(loop_, [&] { return view_->of("waits") && view_->of("waits")->trouble; }));
    remove("many");
    EXPECT_TRUE(ready("waits")) << "it starts once there is room";
    EXPECT_EQ(view_->of("waits")->trouble, std::nullopt);
}

TEST_F(provider_replicas, a_removed_function_ends_and_leaves_nothing)
{
    start();
    deploy(make_spec("cat", "cat"));
    ASSERT_TRUE(ready("cat"));
    const auto record = records().front();
    remove("cat");
    ASSERT_TRUE(poll_until(loop_, [&] { return !runs(record) && !view_->of("cat") && records().empty(); }));
    EXPECT_FALSE(std::filesystem::exists(record.folder));
    EXPECT_TRUE(poll_until(loop_, [&] { return std::filesystem::is_empty(given_.work_folder); }));
}

TEST_F(provider_replicas, what_cannot_be_run_is_passed_over)
{
    start();
    auto secret = make_spec("secret", "cat");
    secret.secrets = {"key"};
    deploy(secret);
    deploy(make_spec("mode", "cat", {{"mode", "inproc"}}));
    put("openfaas-fn.garbage", "{not json");
    put("openfaas-fn.other", core::encode(make_spec("name", "cat")));
    deploy(make_spec("cat", "cat"));
    ASSERT_TRUE(ready("cat"));
    EXPECT_EQ(records().size(), 1U);
}

TEST_F(provider_replicas, an_unusable_change_leaves_what_runs)
{
    start();
    deploy(make_spec("cat", "cat"));
    ASSERT_TRUE(ready("cat"));
    deploy(make_spec("cat", "cat", {{"exec_timeout", "soon"}}));
    deploy(make_spec("after", "cat"));
    ASSERT_TRUE(ready("after"));
    EXPECT_EQ(call(view_->ready("cat").front(), "x")->reply.body, "x");
}

TEST_F(provider_replicas, a_stored_value_that_cannot_be_read_ends_nothing)
{
    given_.keep_replicas = true;
    start();
    deploy(make_spec("kept", "cat"));
    ASSERT_TRUE(ready("kept"));
    const auto before = records().front();
    put("openfaas-fn.kept", "{\"version\":99}");
    stop();
    start();
    EXPECT_TRUE(poll_until(loop_, [&] { return view_->of("kept") && view_->of("kept")->trouble; }));
    EXPECT_NE(view_->of("kept")->trouble->reason.find("version 99"), std::string::npos) << view_->of("kept")->trouble->reason;
    ASSERT_TRUE(ready("kept"));
    EXPECT_EQ(records().front().pid, before.pid);
    EXPECT_EQ(call(view_->ready("kept").front(), "x")->reply.body, "x");
    remove("kept");
    EXPECT_TRUE(poll_until(loop_, [&] { return !runs(before) && !view_->of("kept"); }));
}

TEST_F(provider_replicas, an_orderly_stop_leaves_nothing_running)
{
    start();
    deploy(make_spec("one", "cat"));
    deploy(make_spec("two", "/usr/bin/python3 -m http.server", {{"mode", "http"}, {"upstream_url", "http://127.0.0.1:1"}}));
    ASSERT_TRUE(ready("one"));
    ASSERT_TRUE(poll_until(loop_, [&] { return records().size() == 2; }));
    const auto before = records();
    stop();
    for (const auto& record : before)
        EXPECT_FALSE(runs(record));
    EXPECT_TRUE(records().empty());
    EXPECT_FALSE(std::filesystem::exists(given_.work_folder));
    EXPECT_TRUE(poll_until(loop_, [&] { return view_->of("one") && view_->of("one")->replicas.empty(); }));
}

TEST_F(provider_replicas, the_next_provider_takes_over_what_runs)
{
    start();
    deploy(make_spec("kept", "echo kept"));
    deploy(make_spec("removed", "cat"));
    deploy(make_spec("changed", "echo old"));
    for (const char* name : {"kept", "removed", "changed"})
        ASSERT_TRUE(ready(name));
    const auto kept = view_->ready("kept").front();
    const auto before = records();
    crash();
    EXPECT_EQ(call(kept)->reply.body, "kept\n");
    remove("removed");
    deploy(make_spec("changed", "echo new"));
    std::filesystem::create_directory(given_.work_folder + "/left-behind");
    view_->history.clear();
    start();
    ASSERT_TRUE(poll_until(loop_, [&] { return records().size() == 2 && view_->ready("changed").size() == 1 && !view_->of("removed"); }));
    EXPECT_EQ(view_->ready("kept"), (std::vector<endpoint>{kept}));
    EXPECT_EQ(call(kept)->reply.body, "kept\n");
    EXPECT_EQ(call(view_->ready("changed").front())->reply.body, "new\n");
    EXPECT_TRUE(view_->history["openfaas-fn.kept"].empty()) << "nothing changed, so nothing was said";
    EXPECT_FALSE(std::filesystem::exists(given_.work_folder + "/left-behind"));
}

TEST_F(provider_replicas, a_replica_that_ended_while_no_provider_ran_is_started_anew)
{
    start();
    deploy(make_spec("cat", "cat"));
    ASSERT_TRUE(ready("cat"));
    const auto before = view_->ready("cat").front();
    const auto record = records().front();
    crash();
    process::signal({record.pid, record.start_ticks}, SIGKILL);
    ASSERT_TRUE(poll_until(loop_, [&] { return !runs(record); }));
    start();
    ASSERT_TRUE(
        poll_until(loop_, [&] { return view_->ready("cat").size() == 1 && view_->ready("cat").front().replica != before.replica; }));
    EXPECT_EQ(records().size(), 1U);
}

TEST_F(provider_replicas, one_state_folder_has_one_provider)
{
    start();
    EXPECT_THROW(provider::state_file(given_.state_folder), std::runtime_error);
}

TEST_F(provider_replicas, a_damaged_state_is_not_taken_for_an_empty_one)
{
    std::filesystem::create_directory(given_.state_folder);
    std::ofstream(given_.state_folder + "/replicas.json") << "{\"version\":99,\"replicas\":[]}";
    const provider::state_file state(given_.state_folder);
    EXPECT_THROW(state.read(), std::runtime_error);
}

TEST_F(provider_replicas, static_functions_follow_the_configuration)
{
    given_.static_function = {"fixed=http://127.0.0.1:4321,max_inflight=7"};
    start();
    ASSERT_TRUE(ready("fixed"));
    const auto to = view_->ready("fixed").front();
    EXPECT_EQ(to.port, 4321);
    EXPECT_EQ(to.max_inflight, 7U);
    EXPECT_TRUE(to.token.empty());
    const auto read = [&] {
        return wait_for<std::string>(loop_, [&](auto done) {
            specs_->get("openfaas-fn.fixed", [done](auto result) { done(result && !result->erased ? result->value : std::string()); });
        });
    };
    EXPECT_NE(read()->find("http://127.0.0.1:4321"), std::string::npos);
    stop();
    given_.static_function.clear();
    start();
    EXPECT_TRUE(poll_until(loop_, [&] { return !view_->of("fixed"); }));
    EXPECT_TRUE(poll_until(loop_, [&] { return read()->empty(); }));
}

}

int main(int argc, char** argv) { return sluice::test::role_main(argc, argv); }
