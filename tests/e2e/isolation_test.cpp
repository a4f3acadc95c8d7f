#include "tests/support/loop_until.hpp"
#include "tests/support/sluice_up.hpp"
#include "tests/support/temp_folder.hpp"

#include "core/replica_records.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <unistd.h>

// A hostile function tries what docs/operations.md says it cannot do. Run as root the function is another user; else it is the same one,
// which may send signals, and everything else must be refused all the same.
namespace sluice::test {

namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

// Told in its body what there is, answers what it got at, and all that it could read.
constexpr auto intruder = R"(#!/usr/bin/python3
import ctypes, http.client, json, os, socket, sys
task = json.load(sys.stdin)
got, seen = [], []
def attempt(what, how):
    try:
        if how() is not False: got.append(what)
    except Exception: pass
def read(path):
    with open(path, 'rb') as file: seen.append(file.read(1 << 20).decode('latin-1'))
def remember_memory(pid):
    with open('/proc/%d/maps' % pid) as maps: first = int(maps.readline().split('-')[0], 16)
    with open('/proc/%d/mem' % pid, 'rb') as memory:
        memory.seek(first)
        return len(memory.read(16)) > 0
libc = ctypes.CDLL(None, use_errno=True)
def attach(pid): return libc.ptrace(16, pid, None, None) == 0
def foreign_read(pid):
    class vec(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
    buffer = ctypes.create_string_buffer(16)
    here, there = vec(ctypes.addressof(buffer), 16), vec(0x400000, 16)
    ctypes.set_errno(0)
    libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    return ctypes.get_errno() != 1  # EPERM
for path in task['files']: attempt('file ' + path, lambda: read(path))
for pid in task['processes'] + [os.getppid()]:
    attempt('environ %d' % pid, lambda: read('/proc/%d/environ' % pid))
    attempt('memory %d' % pid, lambda: remember_memory(pid))
    attempt('descriptors %d' % pid, lambda: os.stat('/proc/%d/fd/0' % pid))  # their numbers are no secret
    attempt('ptrace %d' % pid, lambda: attach(pid))
    attempt('process_vm_readv %d' % pid, lambda: foreign_read(pid))
    if task['other_user']: attempt('signal %d' % pid, lambda: os.kill(pid, 0))
    try: read('/proc/%d/cmdline' % pid)
    except OSError: pass
me = os.getpid()  # what is refused above must be what works here
attempt('environ self', lambda: read('/proc/self/environ'))
attempt('memory self', lambda: remember_memory(me))
attempt('descriptors self', lambda: os.stat('/proc/self/fd/0'))
attempt('process_vm_readv self', lambda: foreign_read(me))
for number in os.listdir('/proc/self/fd'):
    if int(number) > 2:
        attempt('inherited ' + number, lambda: not os.readlink('/proc/self/fd/' + number).startswith('/proc/'))
def nats():
    with socket.create_connection(('127.0.0.1', task['nats']), 5) as link:
        link.recv(4096)
        link.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        return b'PONG' in link.recv(4096)
attempt('nats', nats)
def replica():
    link = http.client.HTTPConnection('127.0.0.1', task['replica'], timeout=5)
    link.request('POST', '/', '')
    return link.getresponse().status != 401
attempt('replica', replica)
print(json.dumps({'got': got, 'seen': '\n'.join(seen)}))
)";

std::string text_of(const std::string& path)
{
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

// A word of the file: secrets end with a line break.
std::string secret_in(const std::string& path)
{
    std::string word;
    std::ifstream(path) >> word;
    return word;
}

TEST(isolation, a_hostile_function_gets_at_nothing_of_ours)
{
    loop loop;
    sluice_up up(loop);
    temp_folder folder;
    fs::permissions(folder.path(), fs::perms(0755));
    const auto program = folder / "intruder.py";
    std::ofstream(program) << intruder;
    fs::permissions(program, fs::perms(0755));
    up.deploy(R"({"service": "victim", "image": "victim", "envProcess": "cat", "envVars": {"note": "of-the-victim"}})", "victim");
    up.deploy(R"({"service": "intruder", "image": "intruder", "envProcess": ")" + program + "\"}", "intruder");

    const auto records = core::decode_replica_records(text_of(up.state() + "/provider/replicas.json"));
    ASSERT_TRUE(records);
    ASSERT_EQ(records->size(), 2U);
    std::vector<std::string> secrets{secret_in(up.state() + "/secrets/nats-password"),
                                     secret_in(up.state() + "/secrets/basic-auth-password")};
    json::object task;
    for (const auto& record : *records) {
        secrets.push_back(record.token);
        if (record.function.name == "victim")
            task["replica"] = record.port;
    }
    for (const auto& secret : secrets)
        ASSERT_GE(secret.size(), 16U);
    json::array files, processes;
    for (const auto& entry : fs::recursive_directory_iterator(up.state()))
        if (entry.is_regular_file())
            files.emplace_back(entry.path().string());
    ASSERT_GE(files.size(), 8U);
    for (const int pid : up.processes())
        processes.emplace_back(pid);
    ASSERT_GE(processes.size(), 6U) << "up, nats-server, three roles, two watchdogs";
    const auto conf = text_of(up.state() + "/run/nats.conf");
    const auto listen = conf.find("listen: \"127.0.0.1:");
    ASSERT_NE(listen, conf.npos);
    task["nats"] = std::atoi(conf.c_str() + listen + 19);
    task["files"] = std::move(files);
    task["processes"] = std::move(processes);
    task["other_user"] = ::geteuid() == 0;

    const auto answer = up.call("/function/intruder", {"POST", {}, json::serialize(task)});
    ASSERT_EQ(answer.reply.status, 200U) << answer.reply.body << up.logs();
    const auto result = json::parse(answer.reply.body).as_object();
    EXPECT_EQ(json::serialize(result.at("got")), R"(["environ self","memory self","descriptors self","process_vm_readv self"])");
    const std::string seen(result.at("seen").as_string());
    EXPECT_THAT(seen, testing::HasSubstr("queue-worker")) << "command lines are open to everyone, and it did read them";
    EXPECT_THAT(seen, testing::Not(testing::HasSubstr("of-the-victim")));
    for (const auto& secret : secrets)
        EXPECT_EQ(seen.find(secret), seen.npos);
    EXPECT_EQ(up.call("/function/victim", {"POST", {}, "x"}).reply.body, "x");
    EXPECT_EQ(up.stop(), 0);
}

}

}
