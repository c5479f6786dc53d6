/* Every kind of mistake in a configuration, and the whole sentence that its author is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config_support.h"

#define NAME_129                                                                                                       \
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"                                   \
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxy"
#define SHOWN_100                                                                                                      \
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"                                   \
    "abcdefghijklmnopqrstuv"

#define ROOT_KEYS                                                                                                      \
    "redis, node, workers, concurrency, held, max_rss, lease, shutdown_timeout, queues, plugins, defaults, jobs, "     \
    "keep, limits, offload, "                                                                                          \
    "context, log and http"
#define JOB_KEYS "chain, attempts, timeout, backoff, blocking and concurrency"

struct mistake {
    const char *name; /* of the test */
    const char *text;
    const char *sentence; /* after the file's name */
};

static const struct mistake mistakes[] = {
    /* Keys. */
    {"an_unknown_key_near_a_known_one_is_corrected", "node: a\n\nworker: 2\n",
     "3:1: unknown key \"worker\"; did you mean \"workers\"?"},
    {"swapped_letters_and_wrong_case_are_corrected", "Shutdown-Timeuot: 1s\n",
     "1:1: unknown key \"Shutdown-Timeuot\"; did you mean \"shutdown_timeout\"?"},
    {"a_key_is_corrected_from_its_own_section", "keep:\n  dome: 1h\n",
     "2:3: unknown key \"dome\" in \"keep\"; did you mean \"done\"?"},
    {"a_key_of_a_job_is_corrected", "jobs:\n  a.b:\n    chan: [x]\n",
     "3:5: unknown key \"chan\" in \"jobs.a.b\"; did you mean \"chain\"?"},
    {"an_unknown_key_far_from_all_others_is_told_what_there_is", "threads: 2\n",
     "1:1: unknown key \"threads\"; known here: the keys " ROOT_KEYS},
    {"an_unknown_key_in_a_section_is_told_what_there_is", "redis: {host: x}\n",
     "1:9: unknown key \"host\" in \"redis\"; known here: the keys url, password_file, prefix and dir"},
    {"an_unknown_key_in_a_section_of_one_key_is_told_that", "limits:\n  memory: 1GiB\n",
     "2:3: unknown key \"memory\" in \"limits\"; known here: the key payload"},
    {"an_unknown_key_of_a_queue_is_told_what_there_is", "queues: [{name: a, priority: 1}]\n",
     "1:20: unknown key \"priority\" in \"queues\"; known here: the keys name, weight, concurrency and reserve"},
    {"a_merge_key_is_unknown", "defaults: &d {attempts: 1}\njobs:\n  a: {<<: *d, chain: [x]}\n",
     "3:7: unknown key \"<<\" in \"jobs.a\"; known here: the keys " JOB_KEYS},
    {"a_very_long_key_is_shown_cut", NAME_129 ": 1\n",
     "1:1: unknown key \"" SHOWN_100 "\"...; known here: the keys " ROOT_KEYS},
    {"a_key_cannot_forge_a_line", "\"a\\nb\\e[31m\\\"\\u0085\\u009b\": 1\n",
     "1:1: unknown key \"a\\x0ab\\x1b[31m\\\"\\xc2\\x85\\xc2\\x9b\"; known here: the keys " ROOT_KEYS},
    {"a_key_cannot_separate_lines_or_turn_them_round", "\"\\L\\P\\u202e\\u2066\": 1\n",
     "1:1: unknown key \"\\xe2\\x80\\xa8\\xe2\\x80\\xa9\\xe2\\x80\\xae\\xe2\\x81\\xa6\"; known here: the "
     "keys " ROOT_KEYS},
    {"a_key_given_twice_is_refused", "workers: 1\nnode: a\nworkers: 1\n",
     "3:1: the key \"workers\" is given twice; it is on line 1 already"},
    {"a_key_given_twice_in_a_section_is_refused", "keep:\n  done: 1h\n  'done': 1h\n",
     "3:3: the key \"done\" in \"keep\" is given twice; it is on line 2 already"},
    {"a_job_type_given_twice_is_refused", "jobs:\n  a: {chain: [x]}\n  b: {chain: [x]}\n  a: {chain: [y]}\n",
     "4:3: the key \"a\" in \"jobs\" is given twice; it is on line 2 already"},
    {"a_key_that_is_a_list_is_refused", "? [a, b]\n: 1\n", "1:3: a key must be a name, not a list"},
    {"an_empty_key_is_refused", "redis:\n  ? \n  : 1\n", "2:4: a key in \"redis\" must be a name, not an empty value"},

    /* What this version does not have. */
    {"a_web_server_listens_at_an_address_in_digits", "http: {listen: 'localhost:7788'}\n",
     "1:16: \"http.listen\" must be PORT, ADDRESS:PORT or [ADDRESS]:PORT in digits, such as 127.0.0.1:7788, not "
     "\"localhost:7788\""},
    {"a_web_server_listens_at_a_port", "http: {listen: 65536}\n",
     "1:16: \"http.listen\" must be PORT, ADDRESS:PORT or [ADDRESS]:PORT in digits, such as 127.0.0.1:7788, not "
     "\"65536\""},
    {"an_address_of_ipv6_has_brackets", "http: {listen: '::1:7788'}\n",
     "1:16: \"http.listen\" must be PORT, ADDRESS:PORT or [ADDRESS]:PORT in digits, such as 127.0.0.1:7788, not "
     "\"::1:7788\""},
    {"a_web_server_has_no_other_keys", "http: {port: 80}\n",
     "1:8: unknown key \"port\" in \"http\"; known here: the key listen"},
    {"a_program_as_handler_is_not_supported", "jobs:\n  thumbnail: {exec: [/usr/bin/convert]}\n",
     "2:15: the key \"exec\" in \"jobs.thumbnail\" (a program as the handler) is not supported by this version of "
     "weft; "
     "leave it out"},
    {"a_web_service_as_handler_is_not_supported", "jobs:\n  hook: {http: {url: x}}\n",
     "2:10: the key \"http\" in \"jobs.hook\" (a web service as the handler) is not supported by this version of weft; "
     "leave it out"},

    /* Limits. */
    {"a_limit_to_one_type_leaves_at_least_one_job", "jobs:\n  a: {chain: [x], concurrency: 0}\n",
     "2:32: \"jobs.a.concurrency\" must be a whole number between 1 and 100000, not \"0\""},
    {"a_limit_to_one_queue_is_a_number", "queues: [{name: a, concurrency: few}]\n",
     "1:33: \"queues.concurrency\" must be a whole number between 1 and 100000, not \"few\""},
    {"reserved_places_are_not_all_there_are",
     "concurrency: 5\nqueues:\n- {name: a, reserve: 3}\n- {name: b, reserve: 2}\n",
     "4:22: the places in \"queues.reserve\" must be fewer than \"concurrency\", which is 5, and with these they are "
     "5: "
     "raise \"concurrency\", or reserve less"},
    {"reserved_places_are_fewer_than_the_default_too", "queues: [{name: a, reserve: 1000}]\n",
     "1:29: the places in \"queues.reserve\" must be fewer than \"concurrency\", which is 1000, and with these they "
     "are "
     "1000: raise \"concurrency\", or reserve less"},
    {"no_more_places_are_reserved_than_a_queue_takes", "queues: [{name: a, concurrency: 2, reserve: 3}]\n",
     "1:45: \"queues.reserve\" must not be more than the queue's \"concurrency\", which is 2: it takes no more jobs "
     "than "
     "that"},
    {"held_messages_need_some_memory", "held: 1023KiB\n",
     "1:7: \"held\" must be a size between 1MiB and 1024GiB (units: B, KiB, MiB, GiB), not \"1023KiB\""},

    /* Numbers. */
    {"a_word_is_not_a_number", "# one\n# two\n# three\nworkers: many\n",
     "4:10: \"workers\" must be a whole number between 1 and 1024, not \"many\""},
    {"no_workers_are_too_few", "workers: 0\n",
     "1:10: \"workers\" must be a whole number between 1 and 1024, not \"0\""},
    {"workers_can_be_too_many", "workers: 1025\n",
     "1:10: \"workers\" must be a whole number between 1 and 1024, not \"1025\""},
    {"a_huge_number_does_not_wrap_around", "workers: 18446744073709551617\n",
     "1:10: \"workers\" must be a whole number between 1 and 1024, not \"18446744073709551617\""},
    {"a_fraction_is_not_a_whole_number", "concurrency: 1.5\n",
     "1:14: \"concurrency\" must be a whole number between 1 and 100000, not \"1.5\""},
    {"hexadecimal_is_not_a_number", "concurrency: 0x10\n",
     "1:14: \"concurrency\" must be a whole number between 1 and 100000, not \"0x10\""},
    {"a_negative_number_is_refused", "keep: {dead: -1}\n",
     "1:14: \"keep.dead\" must be a whole number between 1 and 100000000, not \"-1\""},
    {"a_missing_value_is_refused", "workers:\n",
     "1:9: \"workers\" must be a whole number between 1 and 1024, not an empty value"},
    {"a_list_is_not_a_number", "workers: [1]\n",
     "1:10: \"workers\" must be a whole number between 1 and 1024, not a list"},
    {"a_map_is_not_a_number", "workers:\n  web1: 2\n",
     "2:3: \"workers\" must be a whole number between 1 and 1024, not a map"},
    {"no_attempt_is_too_few", "defaults: {attempts: 0}\n",
     "1:22: \"defaults.attempts\" must be a whole number between 1 and 1000, not \"0\""},
    {"jitter_over_one_is_refused", "defaults: {backoff: {jitter: 1.01}}\n",
     "1:30: \"defaults.backoff.jitter\" must be a number between 0 and 1, such as 0.2, not \"1.01\""},
    {"negative_jitter_is_refused", "defaults: {backoff: {jitter: -0.5}}\n",
     "1:30: \"defaults.backoff.jitter\" must be a number between 0 and 1, such as 0.2, not \"-0.5\""},
    {"jitter_that_is_no_number_is_refused", "defaults: {backoff: {jitter: nan}}\n",
     "1:30: \"defaults.backoff.jitter\" must be a number between 0 and 1, such as 0.2, not \"nan\""},
    {"jitter_with_an_exponent_is_refused", "defaults: {backoff: {jitter: 0.1e1}}\n",
     "1:30: \"defaults.backoff.jitter\" must be a number between 0 and 1, such as 0.2, not \"0.1e1\""},
    {"jitter_without_digits_after_the_point_is_refused", "defaults: {backoff: {jitter: 0.}}\n",
     "1:30: \"defaults.backoff.jitter\" must be a number between 0 and 1, such as 0.2, not \"0.\""},

    /* Durations and sizes. */
    {"a_duration_needs_a_unit", "lease: 30\n",
     "1:8: \"lease\" must be a duration between 2s and 1d (units: ms, s, m, h, d), not \"30\""},
    {"a_worker_needs_some_memory", "max_rss: 15MiB\n",
     "1:10: \"max_rss\" must be a size between 16MiB and 1024GiB (units: B, KiB, MiB, GiB), not \"15MiB\""},
    {"a_lease_can_be_too_short", "lease: 1999ms\n",
     "1:8: \"lease\" must be a duration between 2s and 1d (units: ms, s, m, h, d), not \"1999ms\""},
    {"a_lease_can_be_too_long", "lease: 25h\n",
     "1:8: \"lease\" must be a duration between 2s and 1d (units: ms, s, m, h, d), not \"25h\""},
    {"a_shutdown_does_not_take_hours", "shutdown_timeout: 2h\n",
     "1:19: \"shutdown_timeout\" must be a duration between 0s and 1h (units: ms, s, m, h, d), not \"2h\""},
    {"a_time_out_of_nothing_is_refused", "jobs:\n  a:\n    chain: [x]\n    timeout: 0\n",
     "4:14: \"jobs.a.timeout\" must be a duration between 1ms and 7d (units: ms, s, m, h, d), not \"0\""},
    {"a_unit_of_sizes_is_spelt_out", "limits: {payload: 1MB}\n",
     "1:19: \"limits.payload\" must be a size between 1B and 64MiB (units: B, KiB, MiB, GiB), not \"1MB\""},
    {"a_payload_can_be_too_large", "limits: {payload: 65MiB}\n",
     "1:19: \"limits.payload\" must be a size between 1B and 64MiB (units: B, KiB, MiB, GiB), not \"65MiB\""},
    {"a_first_delay_is_not_longer_than_the_longest", "defaults:\n  backoff:\n    base: 2h\n",
     "3:11: \"defaults.backoff.base\" must not be longer than \"max\", which is 3600000ms"},
    {"a_longest_delay_is_not_shorter_than_the_first",
     "defaults: {backoff: {base: 2s}}\njobs:\n  a: {chain: [x], "
     "backoff: {max: 1s}}\n",
     "3:34: \"jobs.a.backoff.max\" must not be shorter than \"base\", which is 2000ms"},

    /* Words. */
    {"an_unknown_level_is_told_what_there_is", "log: {level: trace}\n",
     "1:14: \"log.level\" must be debug, info, warn or error, not \"trace\""},
    {"an_unknown_format_is_told_what_there_is", "log:\n  format: JSON\n",
     "2:11: \"log.format\" must be auto, text or json, not \"JSON\""},
    {"a_node_with_a_blank_is_refused", "node: web 1\n",
     "1:7: \"node\" must be 1 to 64 of the characters A-Z a-z 0-9 . _ -, not \"web 1\""},
    {"a_node_without_a_name_is_refused", "node: ''\n",
     "1:7: \"node\" must be 1 to 64 of the characters A-Z a-z 0-9 . _ -, not \"\""},
    {"a_node_of_65_characters_is_refused", "node: abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm\n",
     "1:7: \"node\" must be 1 to 64 of the characters A-Z a-z 0-9 . _ -, not "
     "\"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm\""},
    {"a_prefix_with_a_colon_is_refused", "redis: {prefix: 'weft:'}\n",
     "1:17: \"redis.prefix\" must be 1 to 64 of the characters A-Z a-z 0-9 . _ -, not \"weft:\""},
    {"letters_of_other_alphabets_stay_readable",
     "node: gr\xc3\xb6\xc3\x9f"
     "e\n",
     "1:7: \"node\" must be 1 to 64 of the characters A-Z a-z 0-9 . _ -, not \"gr\xc3\xb6\xc3\x9f"
     "e\""},
    {"null_is_not_a_name", "node: null\n",
     "1:7: \"node\" must be 1 to 64 of the characters A-Z a-z 0-9 . _ -, not an empty value"},
    {"a_value_with_a_nul_byte_is_refused", "node: \"a\\0b\"\n", "1:7: a value must not contain a NUL byte (\\0)"},
    {"a_tag_of_another_program_is_refused", "node: !env HOSTNAME\n",
     "1:7: the tag \"!env\" means nothing here; write the value itself, without a tag"},
    {"a_binary_value_is_refused", "node: !!binary aGk=\n",
     "1:7: the tag \"tag:yaml.org,2002:binary\" means nothing here; write the value itself, without a tag"},

    /* Queues. */
    {"queues_need_to_be_a_list", "queues: default\n",
     "1:9: \"queues\" must be a list of one or more maps with the keys name, weight, concurrency and reserve, not "
     "\"default\""},
    {"at_least_one_queue_is_needed", "queues: []\n",
     "1:9: \"queues\" must be a list of one or more maps with the keys name, weight, concurrency and reserve, not an "
     "empty list"},
    {"queues_that_are_all_commented_out_are_refused", "queues:\n#  - {name: a}\n",
     "1:8: \"queues\" must be a list of one or more maps with the keys name, weight, concurrency and reserve, not an "
     "empty value"},
    {"a_queue_is_a_map", "queues:\n  - critical\n",
     "2:5: each of \"queues\" must be a map with the keys name, weight, concurrency and reserve, not \"critical\""},
    {"a_queue_needs_a_name", "queues:\n  - {name: a}\n  - {weight: 2}\n",
     "3:5: \"queues\" needs the key \"name\": the queue's name"},
    {"a_queue_of_a_bad_name_is_refused", "queues:\n  - {name: 'a{b}'}\n",
     "2:12: \"queues.name\" must be 1 to 128 of the characters A-Z a-z 0-9 . _ -, not \"a{b}\""},
    {"a_queue_of_no_weight_is_refused", "queues:\n  - {name: a, weight: 0}\n",
     "2:23: \"queues.weight\" must be a whole number between 1 and 1000, not \"0\""},
    {"a_queue_given_twice_is_refused", "queues:\n  - {name: a}\n  - {name: b}\n  - {weight: 2, name: a}\n",
     "4:23: \"queues.name\" must not be the same twice: \"a\" is on line 2 already"},

    /* Jobs. */
    {"jobs_need_to_be_a_map", "jobs: [a]\n",
     "1:7: \"jobs\" must be a map from names to maps with the keys " JOB_KEYS ", not a list"},
    {"a_job_type_is_a_map", "jobs:\n  a: [x, y]\n",
     "2:6: \"jobs.a\" must be a map with the keys " JOB_KEYS ", not a list"},
    {"a_job_type_of_a_bad_name_is_refused", "jobs:\n  user/profile: {chain: [x]}\n",
     "2:3: a name in \"jobs\" must be 1 to 128 of the characters A-Z a-z 0-9 . _ -, not \"user/profile\""},
    {"a_job_type_of_129_characters_is_refused", "jobs:\n  " NAME_129 ": {chain: [x]}\n",
     "2:3: a name in \"jobs\" must be 1 to 128 of the characters A-Z a-z 0-9 . _ -, not \"" SHOWN_100 "\"..."},
    {"a_job_type_without_a_name_is_refused", "jobs: {~: {chain: [x]}}\n",
     "1:8: a key in \"jobs\" must be a name, not an empty value"},
    {"a_job_type_needs_a_chain", "jobs:\n  a:\n    timeout: 3s\n",
     "2:3: \"jobs.a\" needs the key \"chain\": the handlers that run, one after the other"},
    {"a_job_type_that_says_nothing_needs_a_chain", "jobs:\n  a: {chain: [x]}\n  b:\n",
     "3:3: \"jobs.b\" needs the key \"chain\": the handlers that run, one after the other"},
    {"an_empty_chain_is_refused", "jobs:\n  a:\n    chain: []\n",
     "3:12: \"jobs.a.chain\" must be a list of one or more handler names, not an empty list"},
    {"a_chain_is_a_list", "jobs:\n  a:\n    chain: authenticate\n",
     "3:12: \"jobs.a.chain\" must be a list of one or more handler names, not \"authenticate\""},
    {"a_handler_of_a_bad_name_is_refused", "jobs:\n  a:\n    chain:\n      - x\n      - load profile\n",
     "5:9: each of \"jobs.a.chain\" must be 1 to 128 of the characters A-Z a-z 0-9 . _ -, not \"load profile\""},
    {"a_handler_is_not_a_list", "jobs:\n  a: {chain: [[x]]}\n",
     "2:15: each of \"jobs.a.chain\" must be 1 to 128 of the characters A-Z a-z 0-9 . _ -, not a list"},
    {"a_chain_that_contains_itself_is_refused", "jobs:\n  a: {chain: &c [*c]}\n",
     "2:14: each of \"jobs.a.chain\" must be 1 to 128 of the characters A-Z a-z 0-9 . _ -, not a list"},

    /* Other lists and sections. */
    {"a_section_is_a_map", "redis: redis://127.0.0.1\n",
     "1:8: \"redis\" must be a map with the keys url, password_file, prefix and dir, not \"redis://127.0.0.1\""},
    {"a_section_of_one_key_is_a_map", "limits: 1MiB\n",
     "1:9: \"limits\" must be a map with the key payload, not \"1MiB\""},
    {"a_section_in_a_section_is_a_map", "defaults:\n  backoff: 1s\n",
     "2:12: \"defaults.backoff\" must be a map with the keys base, max and jitter, not \"1s\""},
    {"plugins_are_a_list", "plugins: examples.so\n",
     "1:10: \"plugins\" must be a list of paths of plugins, not \"examples.so\""},
    {"a_plugin_has_a_path", "plugins: ['']\n", "1:11: each of \"plugins\" must be a path of 1 to 4095 bytes, not \"\""},
    {"an_empty_item_is_refused", "plugins:\n  -\n  - a.so\n",
     "2:4: each of \"plugins\" must be a path of 1 to 4095 bytes, not an empty value"},
    {"the_log_needs_an_output", "log: {output: []}\n",
     "1:15: \"log.output\" must be a list of one or more outputs (auto, journal, stderr, stdout or a file's path), not "
     "an empty "
     "list"},
    {"an_output_is_not_a_map", "log: {output: {file: x}}\n",
     "1:15: \"log.output\" must be a list of one or more outputs (auto, journal, stderr, stdout or a file's path), not "
     "a map"},
    {"one_of_the_outputs_is_not_a_map", "log: {output: [{file: x}]}\n",
     "1:16: each of \"log.output\" must be auto, journal, stderr, stdout or a path of 1 to 4095 bytes, not a map"},
    {"libraries_are_a_list", "context: {follow_threads_of: libgomp}\n",
     "1:30: \"context.follow_threads_of\" must be a list of names of libraries, not \"libgomp\""},
    {"a_library_of_a_relative_path_is_refused", "context: {follow_threads_of: [lib/libgomp.so]}\n",
     "1:31: each of \"context.follow_threads_of\" must be the name of a library's file, such as libexample.so.1, or "
     "its "
     "absolute path, not \"lib/libgomp.so\""},
    {"a_library_without_a_name_is_refused", "context: {follow_events_of: ['']}\n",
     "1:30: each of \"context.follow_events_of\" must be the name of a library's file, such as libexample.so.1, or its "
     "absolute path, not \"\""},
    {"warn_at_root_is_true_or_false", "context: {warn_at_root: 1}\n",
     "1:25: \"context.warn_at_root\" must be true or false, not \"1\""},
    {"fields_of_the_log_are_a_list", "log: {fields: request_id}\n",
     "1:15: \"log.fields\" must be a list of names of metadata, not \"request_id\""},
    {"a_field_of_the_log_of_a_bad_name_is_refused", "log: {fields: ['req*']}\n",
     "1:16: each of \"log.fields\" must be 1 to 128 of the characters A-Z a-z 0-9 . _ -, or '*' for all, not \"req*\""},

    /* YAML. */
    {"an_empty_file_is_refused", "", "1:1: the file is empty; write at least one key, such as \"jobs:\""},
    {"a_file_of_comments_is_empty", "# workers: 2\n",
     "1:1: the file is empty; write at least one key, such as \"jobs:\""},
    {"an_empty_document_is_refused", "---\n...\n",
     "2:1: the configuration must be a map of keys to values, such as \"workers: 2\", not an empty value"},
    {"a_list_is_no_configuration", "- workers\n",
     "1:1: the configuration must be a map of keys to values, such as \"workers: 2\", not a list"},
    {"a_word_is_no_configuration", "workers\n",
     "1:1: the configuration must be a map of keys to values, such as \"workers: 2\", not \"workers\""},
    {"a_second_document_is_refused", "workers: 2\n---\nworkers: 3\n",
     "2:1: a second YAML document begins here; the configuration is a single one"},
    {"a_mistake_after_the_document_is_found", "workers: 2\n...\n]\n",
     "3:1: this is not valid YAML: did not find expected <document start>"},
    {"two_values_in_a_line_are_refused", "redis: url: x\n",
     "1:11: this is not valid YAML: mapping values are not allowed in this context; check the indentation, and put a "
     "value with \": \" in quotes"},
    {"a_key_without_a_colon_is_refused", "workers: 2\nlease\nnode: a\n",
     "3:1: this is not valid YAML: while scanning a simple key (line 2, column 1), could not find expected ':'; after "
     "a "
     "key come a colon and a blank"},
    {"keys_of_one_map_are_aligned", "keep:\n  done: 1h\n dead: 1\n",
     "3:2: this is not valid YAML: while parsing a block mapping (line 1, column 1), did not find expected key; keys "
     "that belong together begin in the same column"},
    {"a_list_has_an_end", "plugins: [a.so,\nnode: a\n",
     "3:1: this is not valid YAML: while parsing a flow sequence (line 1, column 10), did not find expected ',' or "
     "']'; "
     "a list that begins with [ ends with ]"},
    {"a_map_has_an_end", "keep: {done: 1h\nnode: a\n",
     "2:5: this is not valid YAML: while parsing a flow mapping (line 1, column 7), did not find expected ',' or '}'; "
     "a "
     "map that begins with { ends with }"},
    {"a_quoted_value_has_an_end", "node: 'a\nworkers: 2\n",
     "3:1: this is not valid YAML: while scanning a quoted scalar (line 1, column 7), found unexpected end of stream"},
    {"tabs_do_not_indent", "keep:\n\tdone: 1h\n",
     "2:1: this is not valid YAML: while scanning for the next token, found character that cannot start any token; "
     "indent with blanks, not with tabs, and put @, ` and % in quotes"},
    {"a_bare_star_is_explained", "log: {fields: [*]}\n",
     "1:17: this is not valid YAML: while scanning an alias (line 1, column 16), did not find expected alphabetic or "
     "numeric character; a * that stands for itself is written '*'"},
    {"an_alias_needs_an_anchor", "workers: *n\n",
     "1:10: this is not valid YAML: found undefined alias; a value that begins with * needs quotes"},
    {"a_byte_that_is_not_utf_8_is_refused", "# \xc3\xa4\nnode: \xc3\xa4\xff\n",
     "2:8: this is not plain UTF-8 text: invalid leading UTF-8 octet; save the file as UTF-8, without control "
     "characters"},
    {"a_character_that_is_cut_off_is_refused", "node: \xe4",
     "1:7: this is not plain UTF-8 text: incomplete UTF-8 octet sequence; save the file as UTF-8, without control "
     "characters"},
    {"utf_16_is_refused", "\xff\xfen",
     "1:1: this is not plain UTF-8 text: invalid leading UTF-8 octet; save the file as UTF-8, without control "
     "characters"},
    {"a_control_character_is_refused", "node: a\nlease: \x07\n",
     "2:8: this is not plain UTF-8 text: control characters are not allowed; save the file as UTF-8, without control "
     "characters"},
};

#define MISTAKE_COUNT (sizeof(mistakes) / sizeof(mistakes[0]))

static void check_mistake(void **state)
{
    const struct mistake *mistake = *state;
    char sentence[1024];

    snprintf(sentence, sizeof(sentence), CONFIG_FILE ":%s", mistake->sentence);
    config_support_assert_mistake(mistake->text, sentence);
}

static void a_file_that_is_not_there_is_named(void **state)
{
    (void)state;
    config_support_assert_refused("nowhere/weftd.yaml", -ENOENT,
                                  "nowhere/weftd.yaml: cannot be read: No such file or directory");
}

static void a_folder_is_not_a_file(void **state)
{
    (void)state;
    config_support_assert_refused("/tmp", -EISDIR, "/tmp: cannot be read: Is a directory");
}

static void a_file_that_may_not_be_read_is_named(void **state)
{
    uid_t user = geteuid();

    (void)state;
    config_support_write("closed.yaml", "{}");
    assert_int_equal(chmod("closed.yaml", 0), 0);
    if (user == 0)
        assert_int_equal(seteuid(65534), 0);
    config_support_assert_refused("closed.yaml", -EACCES, "closed.yaml: cannot be read: Permission denied");
    assert_int_equal(seteuid(user), 0);
}

static void a_file_that_is_far_too_large_is_refused(void **state)
{
    (void)state;
    config_support_write("large.yaml", "");
    assert_int_equal(truncate("large.yaml", 4 * 1024 * 1024 + 1), 0);
    config_support_assert_refused("large.yaml", -EFBIG, "large.yaml: is larger than 4 MiB; a configuration is smaller");
}

static void without_a_path_the_file_is_in_etc(void **state)
{
    (void)state;
    if (access("/etc/weft/weftd.yaml", F_OK) == 0)
        skip();
    config_support_assert_refused(NULL, -ENOENT, "/etc/weft/weftd.yaml: cannot be read: No such file or directory");
}

int main(void)
{
    static const struct CMUnitTest files[] = {
        cmocka_unit_test(a_file_that_is_not_there_is_named),
        cmocka_unit_test(a_folder_is_not_a_file),
        cmocka_unit_test(a_file_that_may_not_be_read_is_named),
        cmocka_unit_test(a_file_that_is_far_too_large_is_refused),
        cmocka_unit_test(without_a_path_the_file_is_in_etc),
    };
    struct CMUnitTest tests[MISTAKE_COUNT + sizeof(files) / sizeof(files[0])];

    for (size_t i = 0; i < MISTAKE_COUNT; i++)
        tests[i] = (struct CMUnitTest){mistakes[i].name, check_mistake, NULL, NULL, (void *)&mistakes[i]};
    memcpy(tests + MISTAKE_COUNT, files, sizeof(files));
    return cmocka_run_group_tests_name("config_mistakes", tests, config_support_set_up, config_support_tear_down);
}
