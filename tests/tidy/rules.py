"""The tables that tidy.py applies: who may include what, how long things may be, what is not called and what to use in its place."""

# Folder -> our own folders that it may include. Anything not listed here, as tests and bench, may include all.
ROLES = ["gateway", "queue-worker", "provider", "watchdog", "autoscaler", "connectors", "loadtest"]
LAYERS = {
    "include": ["include"],
    "core": ["include", "core"],
    "adapters": ["include", "core", "adapters"],
    **{role: ["include", "core", "adapters", role] for role in ROLES},
    "cli": ["include", "core", "adapters", *ROLES, "cli"],
}
# The namespaces of the roles: who includes a role must use it.
ROLE_NAMESPACES = {role: role.replace("-", "_") for role in ROLES}

# Header prefix -> folders that may include it. Everything else in <> must be of the standard library or of the system.
THIRD_PARTY = {
    "boost/asio": ["adapters"],
    "boost/beast": ["adapters/http"],
    "boost/json": ["core", "adapters", *ROLES, "cli", "tests"],
    "boost/system/result": ["include", "core", "adapters", *ROLES, "cli", "tests"],
    "boost/system/error_code": ["include", "core", "adapters", *ROLES, "cli", "tests"],
    "boost/unordered": ["core"],
    "boost/container": ["core"],
    "boost/container_hash": ["core"],
    "nats": ["adapters/nats"],
    "curl": ["adapters/curl"],
    "openssl": ["adapters"],
    "prometheus": ["adapters/metrics"],
    "spdlog": ["adapters/log"],
    "gtest": ["tests"],
    "gmock": ["tests"],
    "rapidcheck": ["tests"],
    "benchmark": ["bench"],
}
# Third-party headers that bring values only: our headers may pass them on.
VOCABULARY = ("boost/json", "boost/system", "boost/unordered", "boost/container")
# Headers that show a third-party type to other folders, with the reason.
OPEN_HEADERS = {"adapters/log/log.hpp": "a logger is spdlog's own type: a wrapper of its format functions would add nothing"}

# core/ computes; what these bring is passed in.
NOT_IN_CORE = ["fstream", "iostream", "filesystem", "thread", "mutex", "shared_mutex", "condition_variable", "future", "random", "ctime",
               "unistd.h", "fcntl.h", "poll.h", "time.h", "sys/", "linux/", "netdb.h"]

LINES_MAX = {"file": 500, "function": 100}
COLUMNS_MAX = 150  # clang-format keeps code at 140; a comment may end a word later

EVERYWHERE = [""]
PRODUCT = ["include", "core", "adapters", *ROLES, "cli"]
ROLES_AND_CORE = ["include", "core", *ROLES]
# (name, pattern, folders, what to do). Patterns see code without comments and strings.
BANNED = [
    ("sleep", r"\b(?:u|nano)?sleep\s*\(|\bsleep_(?:for|until)\s*\(|\bclock_nanosleep\s*\(", EVERYWHERE,
     "wait with a sluice::timer; in a test, run the loop until the condition holds"),
    ("shell", r"(?<![\w.>])(?:std::|::)?system\s*\(|\bpopen\s*\(", EVERYWHERE, "start programs with process::launch"),
    ("fork", r"(?<![\w.>])(?:::)?v?fork\s*\(|\bposix_spawnp?\s*\(", [*PRODUCT, "bench"], "start programs with process::launch"),
    ("environment", r"\b(?:secure_)?getenv\s*\(|\b(?:un)?setenv\s*\(|\bputenv\s*\(|\benviron\b", PRODUCT,
     "read the environment in main and pass it on"),
    ("random", r"\bs?rand\s*\(|\brandom_shuffle\b|\bdrand48\s*\(", EVERYWHERE, "use <random> with a generator that is passed in"),
    ("wall clock", r"\btime\s*\(\s*(?:nullptr|NULL|0)\s*\)|\bgettimeofday\s*\(", EVERYWHERE, "take the time as a parameter; in an adapter, use std::chrono::system_clock"),
    ("clock", r"_clock::now\s*\(|\bclock_gettime\s*\(", ["include", "core"], "take the time as a parameter"),
    ("threads", r"\bstd::(?:j?thread|async|mutex|shared_mutex|recursive_mutex|condition_variable|atomic)\b", ROLES_AND_CORE,
     "a role is one loop on one thread: put what must run elsewhere into an adapter that posts back to the loop"),
    ("detached", r"\bdetached\b|\.detach\s*\(", EVERYWHERE, "give the work an owner that ends it"),
    ("nats fetch", r"\bnatsSubscription_Fetch\w*\b", EVERYWHERE, "it corrupts the heap in nats.c 3.4: publish the pull request and read the inbox"),
    ("nats ack", r"\bnatsMsg_(?:Ack|AckSync|Nak|NakWithDelay|InProgress|Term)\b", EVERYWHERE,
     "it crashes on messages that we pulled: publish +ACK, -NAK, +WPI or +TERM to the reply subject"),
    ("nats blocking", r"\bjs_Publish(?:Msg)?\s*\(|\bnatsConnection_(?:Flush\w*|Request\w*)\s*\(|\bkvStore_\w+\s*\(|\bjs_CreateKeyValue\s*\(", PRODUCT,
     "it blocks the loop: use our own request over the connection"),
    ("unbounded string", r"\b(?:strcpy|strcat|sprintf|vsprintf|gets|strtok)\s*\(", EVERYWHERE, "use std::string, std::string_view or fmt"),
    ("number parsing", r"\b(?:std::)?(?:atoi|atol|atoll|atof)\s*\(", PRODUCT, "use std::from_chars and handle what is no number"),
    ("temporary name", r"\b(?:mktemp|tmpnam|tempnam)\s*\(", EVERYWHERE, "use mkdtemp or mkstemp"),
    ("blocking resolver", r"\b(?:gethostbyname|getaddrinfo)\s*\(", PRODUCT, "it blocks the loop: use the resolver of adapters/curl"),
    ("regex", r"\bstd::regex\b", PRODUCT, "std::regex is slow and recurses on long input: parse by hand"),
    ("namespace", r"\busing\s+namespace\s+std\s*;", EVERYWHERE, "name what you use"),
    ("stop", r"\bcontext\(\)\.stop\s*\(|\bio_context_?\.stop\s*\(", PRODUCT, "close what waits and let the loop run dry"),
    ("output", r"\bstd::c(?:out|err)\b|(?<!\w)(?:std::)?f?printf\s*\(", ["include", "core", *ROLES], "log an event, or return the text to cli/"),
]

# Words that do not belong into what we publish, in any text file.
NO_WORDS = [
    ("unfinished", r"\b(?:TODO|FIXME|XXX|HACK)\b", "finish it, or file it where work is planned"),
    ("machine path", r"(?<![\w/])/(?:home|root|work)/\w", "name nothing that exists on one machine only"),
]

# (path pattern, name of the rule, reason). One that no longer applies is a finding itself.
EXCEPTIONS = [
    ("adapters/process/launch.cpp", "fork", "this is process::launch"),
    ("cli/main.cpp", "environment", "main is where it is read"),
    ("adapters/nats/server_greeting.cpp", "blocking resolver", "asked at start or on the connecting thread, never on the loop"),
    ("tests/tidy/rules.py", "unfinished", "the rule itself"),
]
