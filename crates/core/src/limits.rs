//! Every bound in one place, with its unit and its reason.

use std::time::Duration;

/// Bytes of any name. The Platform API's longest, a process type, is `^[-\w]{1,128}$`.
pub const NAME_BYTES_MAX: usize = 128;

/// Bytes of a dyno instance's id. The platform's are UUIDs of 36; this fills 64 with its length.
pub const INSTANCE_ID_BYTES_MAX: usize = 63;

/// Characters of an outsider's text that a message quotes back.
pub const QUOTED_CHARS_MAX: usize = 64;

// === Wire ===

/// Digits of a frame's count: those of `BODY_BYTES_MOST`, because a frame is no longer than its body. A
/// longer number cannot be a valid count, so it ends the batch before any arithmetic.
pub const COUNT_DIGITS_MAX: usize = 9;

const _: () = assert!(BODY_BYTES_MOST < 10u64.pow(COUNT_DIGITS_MAX as u32));

// === Ingest ===

/// Frames of one batch; the rest counts as one bad frame. Logplex holds 1,024 for a drain, and
/// `drain.max_body` of 8 MiB has room for 174,000 of the shortest line, which no sender fills.
pub const FRAMES_PER_BATCH_MAX: u64 = 100_000;

/// The minimum time that a drain's frame id is remembered. Logplex retries at once, three times at most;
/// fifteen minutes also cover a retry that a proxy held back.
pub const FRAME_ID_MEMORY: Duration = Duration::from_secs(15 * 60);

/// Frame ids remembered per drain: at least this many, at most twice, the oldest dropped. A batch a second
/// for fifteen minutes is 900.
pub const FRAME_IDS_PER_DRAIN_MAX: usize = 4096;

/// Batches with events that wait for the engine. It takes microseconds for each, so a full queue means that
/// the engine is stuck, and logplex is asked to retry.
pub const QUEUED_BATCHES_MAX: usize = 1024;

/// Events of one app that wait for the engine, unless they are of one batch: at some ten microseconds each,
/// a flood of one app keeps the others waiting for a tenth of a second.
pub const QUEUED_EVENTS_PER_APP_MAX: usize = 10_000;
/// Longer than the 90 s for which Heroku's router keeps an idle connection to us, so that it is always
/// the router that closes (H13 and H18 otherwise), and than the 318 s after which logplex may still use one.
pub const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(340);

const _: () = assert!(KEEP_ALIVE_IDLE.as_secs() >= 330);

/// Drains of one app whose frame ids are remembered, the longest quiet one dropped: an app has five at most.
pub const FRAME_ID_DRAINS_PER_APP_MAX: usize = 8;

/// `Retry-After` for a rejected batch. Logplex itself retries at once.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);

// === HTTP server ===

/// Bytes of a request's head. Logplex sends about 400 and Heroku's router adds as many again.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Header lines of a request. Behind Heroku's router there are about 20.
pub const HEADERS_MAX: usize = 64;

/// From a new connection to the end of its TLS handshake, if the HTTP server does TLS. On a slow line it
/// takes two round trips and 4 KiB of certificates.
pub const HANDSHAKE: Duration = Duration::from_secs(10);

/// How often the certificate's files are read; a change must be the same in two reads.
pub const TLS_LOOK_EVERY: Duration = Duration::from_secs(5);

/// A certificate should have been renewed before this much is left: Let's Encrypt renews 30 days before.
pub const TLS_EXPIRES_SOON: Duration = Duration::from_secs(14 * 86_400);

/// How often it is logged.
pub const TLS_END_REPORT_EVERY: Duration = Duration::from_secs(86_400);

/// From the first byte of a request (of a new connection: from its start) to the end of its head. A
/// half-open request is gone well within 30 s.
pub const HEAD_READ: Duration = Duration::from_secs(15);

/// From the end of a head to the end of its body. Logplex gives up after 5 s.
pub const BODY_READ: Duration = Duration::from_secs(10);

/// Bytes of an `Authorization` that a connection remembers, in whole words of eight: the drain password of
/// most apps in base64. A longer one is checked in full with each batch.
pub const AUTHORIZATION_KEPT_BYTES: usize = 128;

/// Bytes reserved at once by `Content-Length` when a body begins: a full batch of logplex is 100 KiB. More is
/// reserved as it arrives.
pub const BODY_ROOM_BYTES: usize = 128 * 1024;

/// Connections that wait to be accepted; the system may allow fewer (`net.core.somaxconn`, 4096 on Linux).
pub const CONNECTIONS_QUEUED_MAX: u32 = 4096;

/// Connections of one app's drains, or half of `drain.max_connections` if that is less. Logplex opens a few
/// for each drain.
pub const CONNECTIONS_OF_APP_MAX: usize = 256;

/// Places beyond `drain.max_connections`, for health checks and admins while all others are busy.
pub const CONNECTIONS_RESERVED: usize = 16;

/// Connections without a password so far, from one address. A browser opens six at a time.
pub const STRANGERS_OF_ADDRESS_MAX: usize = 64;

/// Strangers share a quarter of the places, or this many if that is more.
pub const STRANGERS_LEAST: usize = 64;

/// Bytes that are read at a time while the client has shown no password. A head has fewer.
pub const STRANGER_READ_BYTES: usize = 4 * 1024;

/// A head fits one packet; a second is enough for its retransmission. A slower one is evicted first.
pub const HEAD_EXPECTED: Duration = Duration::from_secs(1);

/// A body that has not moved for this long can be evicted.
pub const BODY_STALL: Duration = Duration::from_secs(2);

/// Bytes of all bodies in flight, and of those of one app; more if `drain.max_body` is that large.
pub const BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// See [`BODIES_BYTES_MAX`].
pub const BODIES_OF_APP_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes that a gzip decoder reads, or writes, before the work so far is compared with its limits.
pub const UNPACK_PIECE_BYTES: usize = 16 * 1024;

/// Packed bytes that may be read at first, and for each byte that has come out. A compressor adds five bytes
/// to each 64 KiB that it cannot compress and ten to each line that it flushes, so an honest body stays far
/// below.
pub const UNPACK_EMPTY_BYTES: usize = 64 * 1024;
/// See [`UNPACK_EMPTY_BYTES`].
pub const UNPACK_GROWTH_MAX: usize = 4;

/// Packed and unpacked bytes of a body that are read at once, by the thread that serves its connection: a
/// millisecond or two, and more than a batch of logplex. Larger bodies are read on other threads.
pub const UNPACK_AT_ONCE_BYTES: usize = 256 * 1024;

/// Large bodies that are read at the same time, and those among them of one app. Each takes a core for up to
/// a quarter of a second, and 20 MiB.
pub const LARGE_BODIES_AT_ONCE: usize = 2;
/// See [`LARGE_BODIES_AT_ONCE`].
pub const LARGE_BODIES_OF_APP_AT_ONCE: usize = 1;

const _: () = assert!(LARGE_BODIES_OF_APP_AT_ONCE < LARGE_BODIES_AT_ONCE);

/// How long a large body waits for its turn, and how long its decompression may take. Logplex gives up after
/// 5 s, and sends a batch again that is rejected for this.
pub const LARGE_BODY_WAIT: Duration = Duration::from_secs(2);
/// See [`LARGE_BODY_WAIT`].
pub const UNPACK_TIME: Duration = Duration::from_secs(2);

const _: () = assert!(LARGE_BODY_WAIT.as_secs() + UNPACK_TIME.as_secs() < 5);

/// How long one write may stall because the client does not read.
pub const WRITE_STALL: Duration = Duration::from_secs(20);

/// How long a rejected peer's remaining data is discarded, so that it can read the response: an immediate
/// close would reset the connection and lose it.
pub const LINGER: Duration = Duration::from_secs(2);

/// Wrong drain passwords that one address may send in a burst, and the time until it may send one more. A
/// drain with a wrong password sends one with each batch.
pub const WRONG_PASSWORDS: (u32, Duration) = (60, Duration::from_secs(1));

/// The delay of the response to further wrong passwords. Logplex gives up after 5 s.
pub const WRONG_PASSWORD_HOLD: Duration = Duration::from_millis(250);

/// Wrong admin passwords and hook keys of one address, and the time within which they count. Then the
/// address is refused until that time is over.
pub const GUESSES: (u32, Duration) = (60, Duration::from_secs(60));

/// Addresses whose wrong passwords are counted, at some 50 bytes each; all others share one budget.
pub const WRONG_CALLERS_MAX: usize = 10_000;

/// How often addresses with a full budget are forgotten.
pub const WRONG_PASSWORDS_SWEPT_EVERY: Duration = Duration::from_secs(60);

/// How often dynowarden logs that an address is beyond its budget.
pub const WRONG_PASSWORDS_REPORT_EVERY: Duration = Duration::from_secs(60);

/// How long a shutdown waits for requests in flight; platforms kill after 30 s.
pub const HTTP_GRACE: Duration = Duration::from_secs(8);

/// Bytes of the body of a hook or an admin request.
pub const ADMIN_BODY_BYTES_MAX: usize = 16 * 1024;

/// How long a hook waits for its decisions; Heroku's router gives up after 30 s.
pub const ORDER_WAIT: Duration = Duration::from_secs(25);

/// The longest pause that a person may ask for.
pub const PAUSE_MAX: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Characters of an admin's user name in the audit.
pub const USER_CHARS_MAX: usize = 64;

/// Characters of a person's reason for a pause.
pub const PAUSE_REASON_CHARS_MAX: usize = 256;

/// The first and the longest pause before retrying to accept a connection when the system refuses (no
/// descriptors left).
pub const ACCEPT_BACKOFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

const _: () = assert!(HEAD_READ.as_secs() + BODY_READ.as_secs() < 30);
const _: () = assert!(HANDSHAKE.as_secs() + HEAD_READ.as_secs() < 30);
const _: () = assert!(HEAD_BYTES_MAX >= 8192, "hyper takes no smaller buffer");

// === Engine ===

/// An error older than this, by the time in its line, is a backlog after an outage, not a present problem:
/// R14 repeats about every 21 s.
pub const ERROR_AGE_MAX: Duration = Duration::from_secs(90);

/// How much longer a pause holds by Heroku's clock than by ours. A larger difference says more about the
/// clock that wrote the pause than about this one.
pub const PAUSE_CLOCK_LEAD_MAX: Duration = Duration::from_secs(10 * 60);

/// How far ahead of our clock a line's time may be before the two clocks count as disagreeing.
pub const CLOCK_LEAD_MAX: Duration = Duration::from_secs(2 * 60);

/// How far ahead of our clock the time of a life-cycle line may be. Beyond [`CLOCK_LEAD_MAX`], the line
/// counts as of now.
pub const LIFE_LEAD_MAX: Duration = Duration::from_secs(10 * 60);

/// Dynos of one formation that may wait for their turn.
pub const QUEUED_PER_FORMATION_MAX: usize = 256;

/// Dynos with state in the engine, over all apps; past it the longest quiet one is forgotten.
pub const DYNOS_MAX: usize = 200_000;

/// Errors of process types that are not listed, of one batch: enough to show that a type errs.
pub const UNLISTED_ERRORS_PER_BATCH_MAX: usize = 4;

/// Process types of one app that err and are not listed; a Procfile has a handful, and further ones leave no
/// decision.
pub const UNLISTED_TYPES_MAX: usize = 16;

/// The bounds of one app's share of a table of dynos. A process type has a hundred dynos on Heroku unless
/// support raises that; events about more names than the upper one are counted and dropped.
pub const DYNOS_OF_APP_LEAST: usize = 200;
/// See [`DYNOS_OF_APP_LEAST`].
pub const DYNOS_OF_APP_MAX: usize = 2000;

const _: () = assert!(APPS_MAX * DYNOS_OF_APP_LEAST <= DYNOS_MAX);

/// A dyno that no event has named for this long makes room for another name of its app. Its state stays, and
/// counts again with its next event.
pub const DYNO_SILENT: Duration = Duration::from_secs(3600);

/// How often a full share is searched for entries to drop.
pub const SHARE_PRUNE_EVERY: Duration = Duration::from_secs(60);

/// Process types read from one line about scaling; a Procfile has a handful.
pub const SCALED_TYPES_MAX: usize = 64;

/// Tries of one inspection before the attempt is dropped; a fresh error arrives in 21 s anyway.
pub const INSPECTIONS_MAX: u32 = 3;

/// DELETEs of one attempt, including the first.
pub const DELETES_MAX: u32 = 3;

/// After a DELETE whose answer was lost, the least time before the dyno may be asked for again: a request
/// that a gateway held back has been carried out or dropped by then.
pub const LOST_ANSWER_WAIT_MIN: Duration = Duration::from_secs(60);

/// After the API refused a restart: the waits until it is asked again for the same dyno. The last one
/// repeats.
pub const REFUSED_WAITS: [Duration; 4] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(60 * 60),
];

/// A refusal this long ago says nothing about the next request: twice the longest wait.
pub const REFUSED_FORGOTTEN: Duration = Duration::from_secs(2 * 60 * 60);

/// The account's API calls when its bucket is full, and the refill per minute (heroku.md §5).
pub const API_TOKENS_MAX: u32 = 4500;
/// See [`API_TOKENS_MAX`].
pub const API_TOKENS_PER_MINUTE: u32 = 75;

/// Calls reserved for the account's other users: a fifth. dynowarden's rounds and its waiting inspections
/// leave them alone.
pub const API_TOKENS_RESERVE: u32 = API_TOKENS_MAX / 5;

/// Calls that even a restart leaves to the account's other users.
pub const API_TOKENS_RESERVE_OF_RESTARTS: u32 = 10;

/// People are told that calls are left again only from this level on: enough for some restarts, and more
/// than flows back in a minute.
pub const API_TOKENS_LEFT_AGAIN: u32 = 100;

/// Calls a minute that all waiting attempts together may use: about half of what flows back.
pub const WAITING_CALLS_PER_MINUTE: u32 = 40;

/// Calls that waiting attempts may use at once after a quiet time. With the refill, any minute stays below
/// what flows back.
pub const WAITING_CALLS_BURST: u32 = 30;

/// Polls of one restart that count as its own. The further ones count as waiting: a dyno that boots slowly
/// is polled less often when many do.
pub const OWN_POLLS: u32 = 12;

/// The wait after a 429 without a time: ten seconds bring a dozen calls back, a restart needs three. It
/// doubles with every further 429.
pub const THROTTLE_WAIT: Duration = Duration::from_secs(10);

/// How often the remaining calls are queried while an attempt waits for them. The query costs none.
pub const TOKENS_ASKED_EVERY: Duration = Duration::from_secs(15);

/// The longest wait that a 429 can ask for.
pub const THROTTLE_WAIT_MAX: Duration = Duration::from_secs(5 * 60);

/// Between two inspections of a waiting attempt; the first wait is the shortest.
pub const WAIT_MIN: Duration = Duration::from_secs(5);
/// See [`WAIT_MIN`].
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// Between two polls of a dyno that is being restarted; the first comes soonest.
pub const POLL_MIN: Duration = Duration::from_secs(1);
/// See [`POLL_MIN`].
pub const POLL_MAX: Duration = Duration::from_secs(5);

/// Between two polls of a dyno that did not come back in time.
pub const FAILED_POLL_EVERY: Duration = Duration::from_secs(30);

/// How long a person's order waits for other dynos, once it is its turn, before it is dropped.
pub const ORDER_PATIENCE: Duration = Duration::from_secs(60 * 60);

/// How often an erring given-up dyno is inspected for a release that no line announced.
pub const GIVEN_UP_LOOK_EVERY: Duration = Duration::from_secs(10 * 60);

/// How often an erring one-off dyno of a listed type is inspected: its formation may have grown by now.
pub const ONE_OFF_LOOK_EVERY: Duration = Duration::from_secs(10 * 60);

/// An error this soon after the new dyno is up means that the restart did not help.
pub const HELP_WITHIN: Duration = Duration::from_secs(3 * 60);

/// With preboot, the old dynos run on alongside the new ones: for the boot time-out of a minute, two minutes
/// more and 30 s of SIGTERM (<https://devcenter.heroku.com/changelog-items/1121>). Dynos younger than this
/// are left alone, whatever `min_uptime` says.
pub const PREBOOT_UPTIME_MIN: Duration = Duration::from_secs(5 * 60);

/// The longest doubled cool-down: Heroku replaces each dyno about once a day anyway.
pub const COOLDOWN_MAX: Duration = Duration::from_secs(86_400);

/// The longest give-up of several in a row, unless `give_up_for` itself is longer.
pub const GIVE_UP_MAX: Duration = Duration::from_secs(86_400);

/// After this many restarts of one dyno that helped, within [`OFTEN_WITHIN`], people are notified once how
/// often it is restarted.
pub const OFTEN_AFTER: u32 = 3;
/// See [`OFTEN_AFTER`].
pub const OFTEN_WITHIN: Duration = Duration::from_secs(86_400);

/// A dyno that has erred this long without a restart is reported.
pub const NOT_RESTARTED_AFTER: Duration = Duration::from_secs(15 * 60);

/// Errors of one dyno that are further apart than this belong to different spells. An error repeats every
/// 21 s, and a cool-down of ten minutes may be in between.
pub const ERROR_SPELL_GAP: Duration = Duration::from_secs(15 * 60);

/// How far a memory reading may be from the error that it is evidence for: three samples.
pub const EVIDENCE_AGE_MAX: Duration = Duration::from_secs(60);

/// The precision of the order in which dynos are forgotten when room is short.
pub const QUIET_STEP: Duration = Duration::from_secs(60);

/// How long a boot may take, with the longest time-out that Heroku grants.
pub const BOOT_MAX: Duration = Duration::from_secs(3 * 60);

/// How long the old process of a dyno may live alongside the new one (heroku.md §2.4).
pub const OLD_PROCESS_MAX: Duration = Duration::from_secs(30);

/// Manual restarts that wait for their first inspection.
pub const OPEN_ORDERS_MAX: usize = 64;

// === Statistics ===

/// Minutes of traffic kept for a dyno: ten before a restart, up to [`PROOF_SPAN_MAX`] after it, and a slow
/// boot in between. A minute is 160 bytes, so a dyno costs 8 KiB at most, and 1 KiB
/// without requests.
pub const TRAFFIC_MINUTES: u64 = 45;

/// Dynos with traffic figures, split among the apps: 75 MB if all of them are always busy.
pub const TRAFFIC_DYNOS_MAX: usize = 10_000;

/// With fewer requests, the 95th percentile would be a single request.
pub const TRAFFIC_REQUESTS_LEAST: u64 = 20;

// === Incidents ===

/// The span before a restart that it is compared with.
pub const PROOF_BEFORE: Duration = Duration::from_secs(10 * 60);

/// How long a dyno that is back is watched before its restart is evaluated. After a restart that does not
/// help, the first error came 17 s after `up` (heroku.md §3); a percentile needs five minutes.
pub const PROOF_SPAN_MIN: Duration = Duration::from_secs(5 * 60);
/// See [`PROOF_SPAN_MIN`]; it is `min_uptime` and two minutes, within these bounds.
pub const PROOF_SPAN_MAX: Duration = Duration::from_secs(20 * 60);

const _: () = assert!(PROOF_BEFORE.as_secs() + PROOF_SPAN_MAX.as_secs() < TRAFFIC_MINUTES * 60);

/// An incident without a restart is over after this silence: an error repeats every 21 s, and a cool-down of
/// ten minutes may be in between.
pub const INCIDENT_QUIET: Duration = Duration::from_secs(15 * 60);

/// An incident that needed a person is over after this silence: a dyno that leaks within an hour is killed
/// and starts anew in between, and that is no recovery.
pub const TROUBLE_QUIET: Duration = Duration::from_secs(3600);

/// The API and the like have recovered if they do not fail for four times `notify.group`, within these
/// bounds: between two failures, single answers are useful.
pub const RECOVERY_LASTS_MIN: Duration = Duration::from_secs(5);
/// See [`RECOVERY_LASTS_MIN`].
pub const RECOVERY_LASTS_MAX: Duration = Duration::from_secs(120);
/// See [`RECOVERY_LASTS_MIN`].
pub const RECOVERY_LASTS_GROUPS: u32 = 4;

/// Further dynos of one incident or leak are gathered for ten times `notify.group`: with the default,
/// eight dynos are restarted in turn in that time.
pub const GATHERING_GROUPS: u32 = 10;

/// The longest incident.
pub const INCIDENT_SPAN_MAX: Duration = Duration::from_secs(86_400);

/// Open incidents of one notifier; past it the oldest of the app that has most is forgotten.
pub const INCIDENTS_MAX: usize = 1024;

/// Dynos in one incident; further dynos get another one.
pub const INCIDENT_DYNOS_MAX: usize = 100;

/// Causes of one kind at one app that messages of an outage name, such as drains of other apps. Whoever knows
/// a drain's password can invent any number of them.
pub const OUTAGE_INSTANCES_MAX: usize = 5;

/// Dynos and apps that a message names one by one.
pub const MESSAGE_NAMES_MAX: usize = 10;

/// Restarted dynos whose return is remembered.
pub const RETURNS_MAX: usize = 10_000;

/// Dynos of one type that err this soon after a release make it suspect.
pub const SUSPECT_WITHIN: Duration = Duration::from_secs(30 * 60);

/// How many dynos make a release suspect; a single one may be a coincidence.
pub const SUSPECT_DYNOS: usize = 2;

/// A dyno that erred within this span before a release is no evidence against it.
pub const SUSPECT_CLEAN: Duration = Duration::from_secs(60 * 60);

// === Notifiers ===

/// `[[notify]]` tables.
pub const NOTIFIERS_MAX: usize = 32;

/// Characters of a notifier's name, which is a metric label.
pub const NOTIFIER_NAME_CHARS_MAX: usize = 64;

/// Bytes of a receiver's address. Slack's are 80; some webhooks carry a token of a kilobyte.
pub const NOTIFIER_URL_BYTES_MAX: usize = 4096;

/// Recipients of one e-mail.
pub const RECIPIENTS_MAX: usize = 50;

/// `notify.group`: a quiet message that waits longer is outdated.
pub const GROUP_MAX: Duration = Duration::from_secs(3600);

/// `notify.repeat`: more often is noise, less often is too late.
pub const REPEAT_MIN: Duration = Duration::from_secs(10 * 60);
/// See [`REPEAT_MIN`].
pub const REPEAT_MAX: Duration = Duration::from_secs(7 * 86_400);

/// Records that wait for the task that makes messages. It takes microseconds for each.
pub const QUEUED_NOTICES_MAX: usize = 4096;

/// Messages that wait for one receiver, the oldest dropped: half a day of a busy one that is down.
pub const QUEUED_MESSAGES_MAX: usize = 64;

/// One try of a delivery, from connecting to the last byte of the answer.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two tries of a delivery; doubled each time.
pub const DELIVERY_WAIT_MIN: Duration = Duration::from_secs(2);
/// See [`DELIVERY_WAIT_MIN`].
pub const DELIVERY_WAIT_MAX: Duration = Duration::from_secs(5 * 60);

/// The longest wait that a receiver's `Retry-After` can ask for.
pub const DELIVERY_RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// An undelivered message is dropped after this time.
pub const MESSAGE_AGE_MAX: Duration = Duration::from_secs(6 * 3600);

/// Consecutive failed tries until a notifier counts as down: it may only have been restarted.
pub const NOTIFIER_DOWN_TRIES: u32 = 3;

/// Bytes read of a receiver's response: Slack's errors are one word.
pub const RECEIVER_ANSWER_BYTES_MAX: usize = 4096;

/// How long a loud message waits for others of its incident: what one event causes is decided within moments.
pub const LOUD_WAIT: Duration = Duration::from_secs(2);

/// The longest time that a loud message waits after another one of its incident; people are told within 30 s.
pub const LOUD_APART_MAX: Duration = Duration::from_secs(25);

/// Ids of incidents that are remembered, to keep them unique: two in one millisecond need another name.
pub const INCIDENT_IDS_REMEMBERED: usize = 64;

/// How long a shutdown waits for messages on their way.
pub const LAST_MESSAGES_WAIT: Duration = Duration::from_secs(5);

/// How often `history --follow` looks for new decisions.
pub const HISTORY_FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// Decisions that `history --follow` knows to be printed: several pages of the newest.
pub const HISTORY_FOLLOWED: usize = 1000;

/// Decisions whose repeats the log holds back; beyond it, the oldest is forgotten and logged again.
pub const LOGGED_HOLDS_REMEMBERED: usize = 4096;

/// How often the log repeats the same refusal of one dyno.
pub const LOG_HOLD_EVERY: Duration = Duration::from_secs(10 * 60);

/// How long a scrape of `/metrics` waits for the dynos' state; Prometheus itself waits 10 s by default.
pub const METRICS_STATUS_WAIT: Duration = Duration::from_secs(2);

/// Answers to forms of the status page that are kept for the page that shows them.
pub const FORM_ANSWERS_MAX: usize = 64;

/// How long `healthcheck` waits for the daemon on the same machine; Docker and Compose wait 30 s by default.
pub const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(5);

// === Settings ===

/// Trusted proxy networks.
pub const PROXIES_MAX: usize = 256;

/// Bytes of the settings file, and of a file that a setting names. A large one has a few kilobytes.
pub const SETTINGS_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes of a password or a token. They travel in one header, which hyper and most proxies hold to 8 KiB.
pub const SECRET_BYTES_MAX: usize = 1024;

/// Watched apps. Two hundred are normal; each costs two start-up calls, of 4,500 in the bucket.
pub const APPS_MAX: usize = 1000;

/// Rules of one app. Each event of the app is checked against each rule.
pub const RULES_MAX: usize = 64;

/// Characters of a rule's name, which is in every record and in metric labels.
pub const RULE_NAME_CHARS_MAX: usize = 64;

/// Errors that a rule may count, and restarts that a rate may allow.
pub const COUNT_MAX: u32 = 1000;

/// Dynos of one process type that may be out at once; more than a formation can have.
pub const CONCURRENT_MAX: u32 = 1000;

/// Cool-down, `give_up_for` and the span of `max_restarts`: the span read from the store at startup.
pub const POLICY_SPAN_MAX: Duration = Duration::from_secs(30 * 86_400);

/// `settle` and `boot_timeout`: one dyno can hold up its formation this long.
pub const BOOT_SPAN_MAX: Duration = Duration::from_secs(3600);

/// `min_uptime`, `within` and `for`: the platform replaces each dyno about once a day, so nothing about one
/// instance can take longer.
pub const INSTANCE_SPAN_MAX: Duration = Duration::from_secs(86_400);

/// The shortest span of any setting: anything but zero.
pub const SPAN_MIN: Duration = Duration::from_millis(1);

/// `heroku.request_timeout`: no call across the internet is faster, and no caller should wait longer.
pub const REQUEST_TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// See [`REQUEST_TIMEOUT_MIN`].
pub const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(300);

/// `drain.max_body`: a batch of logplex is about 100 KiB, one of log-shuttle up to 5 MB, one line at least
/// 10 KiB.
pub const BODY_BYTES_LEAST: u64 = 1024;
/// See [`BODY_BYTES_LEAST`]; each connection may hold this many bytes.
pub const BODY_BYTES_MOST: u64 = 256 * 1024 * 1024;
/// Logplex drops a batch that is rejected as too large, so a lower bound loses lines (heroku.md §8.9).
pub const BODY_BYTES_SAFE: u64 = 1024 * 1024;

/// `drain.max_connections`: the file descriptors that a process can expect to get.
pub const CONNECTIONS_MAX: u32 = 65_536;

/// `store.keep`: less would lose this morning's restarts before a person looks.
pub const KEEP_MIN: Duration = Duration::from_secs(3600);
/// Ten years.
pub const KEEP_MAX: Duration = Duration::from_secs(3650 * 86_400);

// === Commands ===

/// Rows that `history` prints at most.
pub const HISTORY_ROWS_MAX: u32 = 100_000;

/// How slow and how fast the demo may run. Twenty-one seconds between two R14 lines are twenty
/// milliseconds at the fastest; below that HTTP itself is what one would see.
pub const DEMO_SPEEDS: (f64, f64) = (0.1, 1000.0);

// === Simulated Heroku ===

/// Calls and posts that the simulated Heroku remembers for tests, the oldest dropped: some megabytes.
pub const SIM_RECORDS_MAX: usize = 100_000;

/// Bytes of the bodies among those posts, the oldest dropped.
pub const SIM_POSTED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of a request body that the simulated Platform API reads; the largest real one is a URL.
pub const SIM_BODY_BYTES_MAX: usize = 64 * 1024;

/// Lines that a subscriber of the simulated Heroku may lag before it misses some.
pub const SIM_LINES_BEHIND_MAX: usize = 4096;

/// Tokens that the simulated Platform API creates: a demo needs a few.
pub const SIM_TOKENS_MAX: usize = 100;

// === Driver ===

/// Answers of the API and of the store that wait for the engine. When it is full, tasks wait.
pub const QUEUED_ANSWERS_MAX: usize = 1024;

/// How long a shutdown waits for calls in flight; the platform kills after 30 s, and a call takes at most
/// `heroku.request_timeout`, 10 s by default.
pub const LAST_ANSWERS_WAIT: Duration = Duration::from_secs(11);

const _: () = assert!(HTTP_GRACE.as_secs() + LAST_ANSWERS_WAIT.as_secs() < 20);

// === Platform API ===

/// Bytes of one response of the Platform API. A page holds at most 1,000 dynos of about 700 bytes.
pub const API_BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Pages of one list: 200 entries each unless the API says otherwise.
pub const API_PAGES_MAX: usize = 16;

/// The connect part of `heroku.request_timeout`, where that is longer.
pub const API_CONNECT: Duration = Duration::from_secs(5);

/// The longest wait that a 429 can impose.
pub const API_WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// How often each app's formation is asked for the number of its dynos, as long as the list of dynos agrees
/// with it: a fifth of a call a minute.
pub const QUANTITIES_ASKED_EVERY: Duration = Duration::from_secs(5 * 60);

/// The same while the list has the same dynos beyond that number. For another one the number is asked for at
/// once, because the formation may have grown.
pub const QUANTITIES_DOUBTED_EVERY: Duration = Duration::from_secs(30);

/// How often each app's features are asked for preboot.
pub const FEATURES_ASKED_EVERY: Duration = Duration::from_secs(60 * 60);

/// How soon either is asked again if the API did not say.
pub const APP_FACTS_RETRY: Duration = Duration::from_secs(5 * 60);

/// Records that a listener may lag before it misses the oldest.
pub const RECORDS_BEHIND_MAX: usize = 1024;

// === Replay ===

/// Bytes of one text line of an archive. Logplex caps a line at 10,240 with its header and splits dyno output
/// at 10,000; six times that leaves room for differences in production.
pub const ARCHIVE_LINE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of one frame of an archive: the default `drain.max_body` of the daemon.
pub const ARCHIVE_FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Apps in one replay. Each has its own engine; in an archive with more, system names are not app names.
pub const REPLAY_APPS_MAX: usize = 256;

/// Deadlines that a replay follows between two lines. A dyno that never comes back is polled every 30 s, so
/// this covers a silence of weeks; a longer one is skipped.
pub const REPLAY_WAKES_MAX: u32 = 50_000;

/// How long a replay continues after the last line, for dynos that wait for their turn.
pub const REPLAY_TAIL: Duration = Duration::from_secs(60 * 60);

/// Dynos whose repeated refusals a replay folds at a time; past it all of them are printed.
pub const REPLAY_FOLDS_MAX: usize = 4096;

/// Bytes of an archive that are read at a time.
pub const REPLAY_CHUNK_BYTES: usize = 64 * 1024;

/// Bytes of lines that a replay holds to put them in order. The text of an app's own lines is not among them,
/// so that this is enough for a log of about a gigabyte.
pub const REPLAY_HELD_BYTES_MAX: usize = 128 * 1024 * 1024;

/// How old the last line of standard input may be for it to be a live log, whose lines are not held.
pub const REPLAY_LIVE: Duration = Duration::from_secs(10 * 60);

/// The highest number of a dyno in a formation. Heroku allows 100 dynos of a type, and gives one-off dynos
/// numbers of four digits.
pub const FORMATION_INDEX_MAX: u32 = 999;

/// Characters of a password or a key below which a warning is given: shorter ones are mostly words, which can
/// be guessed over the network.
pub const SECRET_CHARS_MIN: usize = 12;

/// Pages of each app's decisions that `check` looks through for process types that are not listed.
pub const CHECKED_PAGES_MAX: usize = 10;

/// How long `check` waits for an answer at `public_url`, as long as logplex does.
pub const WAY_IN_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a refused request below `/logs` is logged; all are counted.
pub const REFUSED_LOG_EVERY: Duration = Duration::from_secs(60);

/// Process types of one app in a replay. An app has a handful; names come from lines, which may hold any.
pub const REPLAY_TYPES_MAX: usize = 256;

/// Steps of dynos that a replay reads again for each minute of its log, on average, when processes begin all
/// the time: two weeks of five dynos. A larger formation is read less often, as the daemon does, but at least
/// once an hour.
pub const REPLAY_STEPS_PER_MINUTE: usize = 20_000;

/// Files from this size on get a progress bar.
pub const REPLAY_PROGRESS_BYTES_MIN: u64 = 8 * 1024 * 1024;

/// Policies of one what-if: what a person can compare, and what can be played within a minute.
pub const WHAT_IF_POLICIES_MAX: usize = 24;

/// Hours of dynos with lines that a what-if holds, at about a kilobyte each, and hours of lives that it cuts,
/// at two: two weeks of 297 dynos. Past either, it refuses.
pub const WHAT_IF_DYNO_HOURS_MAX: usize = 100_000;

/// Slots of dynos that a what-if plays in all, as far as its replicates are concerned: some ten seconds of
/// work.
pub const WHAT_IF_SLOTS_PLAYED_MAX: u64 = 100_000_000;

/// How often a what-if plays each policy again with other lives: enough to show the spread, and few enough
/// to be done within a minute.
pub const WHAT_IF_REPLICATES_MAX: u64 = 8;
/// See [`WHAT_IF_REPLICATES_MAX`]. Fewer would show no spread.
pub const WHAT_IF_REPLICATES_MIN: u64 = 2;

// === Watchdog ===

/// Between two rounds over the watched apps and their drains. With many apps it is longer.
pub const ROUND_EVERY: Duration = Duration::from_secs(10 * 60);

/// Calls that rounds may take in the long run: a fifth of the account's refill.
pub const ROUND_CALLS_PER_MINUTE: u32 = API_TOKENS_PER_MINUTE / 5;

/// Concurrent calls of rounds. At 100 ms each, 200 apps are listed in 3 s at startup.
pub const ROUND_CALLS_AT_ONCE: usize = 8;

/// The wait before a failed call of a round is repeated; it doubles with every failure.
pub const ROUND_AGAIN: Duration = Duration::from_secs(60);

/// Between two probes of the token, which cost no quota. People are notified within 30 s that restarts are
/// off.
pub const PROBE_EVERY: Duration = Duration::from_secs(8);

/// The wait after a failed probe; it doubles with every failure.
pub const PROBE_AGAIN: Duration = Duration::from_secs(2);

/// Consecutive failed probes until the API counts as away.
pub const PROBES_FAILED: u32 = 3;

/// After this long without an answer, two failed probes are enough: each may have waited for its time-out.
pub const API_AWAY_AFTER: Duration = Duration::from_secs(20);

/// Between two reads of Heroku's status page.
pub const PLATFORM_STATUS_EVERY: Duration = Duration::from_secs(2 * 60);

/// How long a red reading of the status page counts if no other follows: an unreadable page is neither red
/// nor green, and must not hold restarts for ever.
pub const PLATFORM_RED_COUNTS: Duration = Duration::from_secs(30 * 60);

/// Bytes of Heroku's status page.
pub const STATUS_BYTES_MAX: usize = 256 * 1024;

/// Between two checks of the drains' activity.
pub const LISTEN_EVERY: Duration = Duration::from_secs(15);

/// The bounds of the silence that is reported for an app with runtime metrics: nine samples of 20 s.
pub const SILENCE_SAMPLED: (Duration, Duration) = (Duration::from_secs(3 * 60), Duration::from_secs(30 * 60));

/// The same for an app without them, which may have nothing to log.
pub const SILENCE_UNSAMPLED: (Duration, Duration) =
    (Duration::from_secs(30 * 60), Duration::from_secs(12 * 60 * 60));

/// Samples that are missing this long, while other lines come, have been switched off.
pub const SAMPLES_STOPPED: Duration = Duration::from_secs(3 * 60);

/// `drain.silent_after`: a lower value would report ordinary gaps.
pub const SILENT_AFTER_MIN: Duration = Duration::from_secs(1);
/// See [`SILENT_AFTER_MIN`].
pub const SILENT_AFTER_MAX: Duration = Duration::from_secs(7 * 86_400);

/// How often a harmless silence (no dyno runs) is checked again.
pub const SILENCE_LOOK_EVERY: Duration = Duration::from_secs(10 * 60);

/// A drain that is missing from the list is checked once more after this time: it may be being replaced.
pub const UNLISTED_RECHECK: Duration = Duration::from_secs(60);

/// Lost lines are reported at most once per interval.
pub const LOSS_REPORT_EVERY: Duration = Duration::from_secs(60 * 60);

/// Rejected batches are reported at most once per interval, for each app and each path.
pub const REJECTIONS_REPORT_EVERY: Duration = Duration::from_secs(60 * 60);

/// Paths whose rejected batches are counted apart.
pub const REJECTED_PATHS_MAX: usize = 64;

/// How long a batch on `POST /logs` waits for the first list of drains; logplex gives up after 5 s.
pub const FIRST_LIST_WAIT: Duration = Duration::from_secs(3);

/// How often the drains of an app are listed for batches of an unknown drain, and how often its id is asked
/// for if the API does not answer.
pub const DRAINS_ASKED_EVERY: Duration = Duration::from_secs(60);

/// How often a drain of another app is reported while it goes on sending.
pub const FOREIGN_DRAIN_REPORT_EVERY: Duration = Duration::from_secs(4 * 60 * 60);

/// Such lists in a minute, of all apps together: a fifth of what flows back.
pub const DRAIN_LISTS_PER_MINUTE: usize = 15;

/// Batches and events that wait for a list of drains, of all apps together. A minute of a hundred leaking
/// dynos has three hundred; the oldest of an app with more than its share are dropped and counted.
pub const UNKNOWN_EVENTS_MAX: usize = 4096;

/// Remembered drain tokens that belong to no app, or to another one. Of the latter, each app has a share.
pub const UNKNOWN_TOKENS_MAX: usize = 1024;

/// Remembered drains of one app that sent batches; an app has five at most.
pub const DRAINS_SEEN_MAX: usize = 8;

// === Check ===

/// How long preboot keeps a release's old dynos alongside the new ones (heroku.md §2.4).
pub const PREBOOT_OVERLAP: Duration = Duration::from_secs(3 * 60);

/// Apps that `check` queries at once.
pub const CHECKED_AT_ONCE: usize = 8;

// === Store ===

/// How long a claim stands without renewal: a dead replica can block others from the dyno this long. Its
/// holder renews it every third of this, so two renewals may fail.
pub const CLAIM_LEASE: Duration = Duration::from_secs(60);

/// How often a holder renews its claims.
pub const CLAIM_RENEW_EVERY: Duration = Duration::from_secs(CLAIM_LEASE.as_secs() / 3);

/// How long a claim may take in total. Heroku repeats an error after 21 s.
pub const CLAIM_WAIT: Duration = Duration::from_secs(2);

/// How long any other query of the store may take.
pub const STORE_WAIT: Duration = Duration::from_secs(5);

const _: () = assert!(CLAIM_WAIT.as_secs() * 2 < CLAIM_RENEW_EVERY.as_secs());

/// How often a store that is away is retried, and one that is idle is checked.
pub const STORE_TRY_EVERY: Duration = Duration::from_secs(1);
/// See [`STORE_TRY_EVERY`].
pub const STORE_ASK_EVERY: Duration = Duration::from_secs(5);

/// Rows that wait to be written. At some 1000 bytes a row this is ten megabytes, and repeated refusals wait
/// as one row, so a store can be away for hours. When it is full, the oldest decision without a restart is
/// dropped and counted.
pub const UNWRITTEN_ROWS_MAX: usize = 10_000;

/// Restarts and outcomes that wait to be written. There is no new restart while the store is away, so these
/// are dry runs and the outcomes of earlier restarts: a few for every dyno.
pub const UNWRITTEN_RESTARTS_MAX: usize = 100_000;

/// How often a steady stream of history is written; restarts, and rows that a task waits for, are written at
/// once. A dyno that errs all the time then costs a few writes a second, not one for each line.
pub const HISTORY_WRITE_EVERY: Duration = Duration::from_millis(100);

/// Rows that are written in one transaction: a few milliseconds in which a claim may have to wait.
pub const ROWS_PER_WRITE_MAX: usize = 256;

/// Rows of series and of counts by endpoint that are written in one transaction. All dynos end a step at
/// once, and a claim waits for one of these transactions, not for all.
pub const BULK_ROWS_PER_WRITE_MAX: usize = 32;

/// How often the log of a SQLite file is moved into the file, beside the commits. A hundred commits a second
/// do not fill the log in this time, so that no claim waits for it.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

/// Kinds of refusals that are remembered for folding; past it, it starts over for the app that has most.
pub const FOLDS_MAX: usize = 10_000;

/// The longest span of a folded row, so that an app that errs for a week shows on each day.
pub const FOLD_SPAN_MAX: Duration = Duration::from_secs(86_400);

/// Decisions kept, whatever their age: half a gigabyte.
pub const DECISIONS_KEPT_MAX: u64 = 1_000_000;

/// Rows that retention deletes in one transaction.
pub const ROWS_PER_PRUNE_MAX: u64 = 500;

/// How long the API's clock confirms this machine's. Retention deletes nothing without that.
pub const CLOCK_CONFIRMED_FOR: Duration = Duration::from_secs(60 * 60);

/// How long a stored pause that seems to be over holds after startup, until the API confirms the clock.
pub const PAUSE_UNCONFIRMED: Duration = Duration::from_secs(60 * 60);

/// How often retention looks for rows that are too old or too many.
pub const PRUNE_RECORD_EVERY: Duration = Duration::from_secs(10 * 60);

/// Decisions on one page of decision history.
pub const PAGE_ROWS_MAX: u32 = 1000;

/// Connections to a PostgreSQL: a replica has one writer, a few claims and a reader, and small plans
/// allow 20 to all replicas together.
pub const STORE_CONNECTIONS_MAX: u32 = 4;

/// How often a replica reads the pauses set on others: "all of them within seconds".
pub const PAUSES_READ_EVERY: Duration = Duration::from_secs(2);

// === Days ===

/// How long series are kept: the default, and what the settings allow. A day shows a daily pattern; more than
/// a quarter of a year shows nothing that two weeks do not.
pub const KEEP_SERIES: Duration = Duration::from_secs(14 * 86_400);
/// See [`KEEP_SERIES`].
pub const KEEP_SERIES_MIN: Duration = Duration::from_secs(86_400);
/// See [`KEEP_SERIES`].
pub const KEEP_SERIES_MAX: Duration = Duration::from_secs(90 * 86_400);

/// Octets on disk of the blocks of one dyno for each day that they are kept; past that, the oldest go first.
/// A busy dyno takes 3,700. With two weeks of them and the hours that are not in blocks yet, a dyno stays
/// within 64 KiB.
pub const SERIES_DAY_OCTETS_MAX: i64 = 3_900;

/// Blocks of a series made in one transaction, which a claim may have to wait for.
pub const BLOCKS_PER_FOLD_MAX: u64 = 50;

/// Hours that are over before they go into a block: every replica has written its part by then.
pub const FOLD_AFTER_HOURS: i64 = 1;

/// Dynos of a type that are compared with each other, at least.
pub const PEERS_LEAST: usize = 3;

/// How often the ages of dynos are looked at, and how soon after a dyno's last line no longer.
pub const AGES_EVERY: Duration = Duration::from_secs(15);
/// See [`AGES_EVERY`].
pub const AGES_HEARD: Duration = Duration::from_secs(30 * 60);

/// How often quiet hours and former lives are read for rules that need them, at most; a slow store is read
/// less often.
pub const DAYS_READ_EVERY: Duration = Duration::from_secs(10);

/// The part of the time that is spent on that.
pub const DAYS_READ_SHARE: u32 = 20;

/// Lives that the `proof` of a rule may ask for: as many as a verdict rests on.
pub const PROOF_LIVES_MAX: u32 = 8;

/// How long reading the series of an app may take: two weeks of two thousand dynos are 700,000 rows.
pub const SERIES_WAIT: Duration = Duration::from_secs(20);

/// How often steps that are over are written.
pub const SERIES_WRITE_EVERY: Duration = Duration::from_secs(1);

/// How soon an hour is written that is over, together with what comes in the meantime.
pub const SERIES_WRITE_SOON: Duration = Duration::from_millis(50);

/// Hours that wait to be written, at some 800 bytes each. Ten thousand dynos fill five hours of a store that
/// is away; past it the oldest is dropped and counted.
pub const SERIES_WAITING_MAX: usize = 50_000;

/// How long an answer of `GET /dyno-sizes` holds, and how soon one that failed is asked again.
pub const SIZES_HOLD: Duration = Duration::from_secs(86_400);
/// See [`SIZES_HOLD`].
pub const SIZES_RETRY: Duration = Duration::from_secs(600);

/// Apps of one report whose place is asked for, two calls each.
pub const REPORT_APPS_ASKED_MAX: usize = 20;

/// Marks kept of five minutes of one dyno. A restart makes five.
pub const STEP_MARKS_MAX: usize = 16;

/// The least memory of a sample that is believed, in tenths of a megabyte: no process runs in a tenth of one.
pub const MEMORY_TENTHS_MIN: u64 = 1;

/// A sample of more than this many times the quota is not believed: Heroku kills a dyno at twice.
pub const MEMORY_QUOTAS_MAX: u64 = 20;

/// Dynos whose series are kept. The present hour of each takes 260 to 1,000 bytes of memory.
pub const SERIES_DYNOS_MAX: usize = 120_000;

/// Steps of one dyno that a report reads: a quarter of a year.
pub const SERIES_STEPS_MAX: usize = 90 * 288;

/// Dynos of one app in a report. At 4032 steps of 80 bytes, a hundred of them take 32 MB for two weeks.
pub const REPORT_DYNOS_MAX: usize = 2_000;

// === Evidence ===

/// Places in the tree of an app's paths, with the root. Forty endpoints of three segments need a hundred; at
/// 400 bytes each, all of them take about 90 KiB.
pub const TEMPLATE_NODES_MAX: usize = 256;

/// Places that are free after each ageing, so that a new endpoint finds room.
pub const TEMPLATE_NODES_SPARE: usize = 32;

/// Segments of a path that are told apart. What is deeper is `:rest`.
pub const TEMPLATE_DEPTH_MAX: usize = 6;

/// Bytes of a segment that may be a word of a route; a longer one is a token.
pub const TEMPLATE_WORD_BYTES_MAX: usize = 40;

/// Words of one place that may get a place of their own, and are counted until then.
pub const TEMPLATE_CANDIDATES_MAX: usize = 16;
/// See [`TEMPLATE_CANDIDATES_MAX`]. These are the root's, where strangers try most names.
pub const TEMPLATE_ROOT_CANDIDATES_MAX: usize = 64;

/// Requests that a word surely has before it is shown, and its share of the words next to it (one in so
/// many). A word that was seen less may be a person's.
pub const TEMPLATE_WORD_REQUESTS_MIN: u32 = 20;
/// See [`TEMPLATE_WORD_REQUESTS_MIN`].
pub const TEMPLATE_WORD_SHARE: u32 = 200;
/// See [`TEMPLATE_WORD_REQUESTS_MIN`]. This is the share where most words are names.
pub const TEMPLATE_VARIED_SHARE: u32 = 50;
/// See [`TEMPLATE_WORD_REQUESTS_MIN`]. This is the share of all requests of the app: a rarer endpoint
/// explains no leak.
pub const TEMPLATE_APP_SHARE: u32 = 2000;

/// The same for varying segments of one shape, which strangers can invent in any combination.
pub const TEMPLATE_VARYING_REQUESTS_MIN: u32 = 4;
/// See [`TEMPLATE_VARYING_REQUESTS_MIN`].
pub const TEMPLATE_VARYING_SHARE: u32 = 1000;

/// Windows of half an hour after which half of what was learned is forgotten: six hours.
pub const TEMPLATES_AGE_WINDOWS: i64 = 12;

/// Endpoints of an app that are counted apart, and one for all others.
pub const ENDPOINTS_MAX: usize = 64;

/// Dynos of an app whose requests are counted by endpoint: 256 bytes each. A leak shows in a hundred dynos as
/// well as in more.
pub const EVIDENCE_DYNOS_MAX: usize = 100;

/// Counts of windows that were over when their lines came, before they are passed on: router lines are rarely
/// late by more than seconds.
pub const EVIDENCE_LATE_MAX: usize = 1024;

/// Endpoints of one app in a report. Each stored window has at most [`ENDPOINTS_MAX`] of them, and they
/// change slowly.
pub const EVIDENCE_ENDPOINTS_MAX: usize = 1024;

/// How long counts by endpoint are kept. The code that leaks changes with the releases of a week, and the
/// weakest leak that can be named shows within three days.
pub const KEEP_EVIDENCE: Duration = Duration::from_secs(7 * 86_400);

/// The span whose endpoints a new process takes over, so that their names stay the same.
pub const EVIDENCE_LEARNED: Duration = Duration::from_secs(12 * 3600);

/// Windows of one dyno in a report: those of [`KEEP_EVIDENCE`].
pub const EVIDENCE_WINDOWS_MAX: usize = 7 * 48;

/// Bytes of paths that wait to be counted, of all apps together. They are counted within milliseconds; what
/// finds no room is not counted.
pub const EVIDENCE_WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of one path that are looked at: more than the segments that are told apart can have.
pub const EVIDENCE_PATH_BYTES_MAX: usize = 512;

/// Requests that are counted before other tasks get their turn: a tenth of a millisecond.
pub const EVIDENCE_AT_ONCE: usize = 1000;

/// How often the counts of the present half hour are written.
pub const EVIDENCE_WRITE_EVERY: Duration = Duration::from_secs(5 * 60);

/// Windows that wait to be written, of all apps; some 1,000 bytes each. Past it the oldest is dropped and
/// counted.
pub const EVIDENCE_ROWS_WAITING_MAX: usize = 10_000;

/// How long a report waits for requests that are being counted.
pub const EVIDENCE_WAIT: Duration = Duration::from_secs(2);

/// How often the suspects for messages are looked for, at most.
pub const SUSPECTS_EVERY: Duration = Duration::from_secs(10 * 60);

/// Hours of lines without which no endpoint is named: earlier, chance names the wrong one.
pub const SUSPECTS_HOURS_MIN: f64 = 12.0;

// === Page ===

/// Points of one dyno's chart: a minute each, three hours.
pub const TRACE_POINTS_MAX: usize = 180;

/// Restarts marked on one dyno's chart. The default `max_restarts` is 8 in 2 h.
pub const TRACE_MARKS_MAX: usize = 32;

/// Dynos that have a chart, split among the apps. At 360 bytes of points each, all of them take about 10 MB.
pub const TRACES_MAX: usize = 20_000;

/// Dynos of one app on the overview; further healthy ones are only counted.
pub const DYNOS_SHOWN_MAX: usize = 50;

/// Dynos on one page of an app.
pub const DYNOS_PER_PAGE: usize = 100;

/// Dynos on the overview; past it the healthy ones are left out.
pub const ROWS_SHOWN_MAX: usize = 200;

/// Apps whose dynos the overview shows; the others get one line each.
pub const APPS_SHOWN_MAX: usize = 20;

/// Things that need attention in the overview's list.
pub const ATTENTION_SHOWN_MAX: usize = 40;

/// Decisions on the overview, and on one page of decisions.
pub const DECISIONS_SHOWN: usize = 25;

/// Decisions kept in memory for the page, the oldest dropped; about 1 KB each.
pub const RECENT_DECISIONS_MAX: usize = 1000;

/// Decisions on a page of `/decisions`, and in an answer of `GET /api/v1/decisions` when the client sets no
/// limit.
pub const DECISIONS_ANSWERED: u32 = 100;

/// Open event streams. Each takes a connection and some 20 KB; a wall display and a dozen people take 13.
pub const STREAMS_MAX: usize = 256;

/// Events that a stream may lag before it is closed with a request to reconnect.
pub const STREAM_BACKLOG_MAX: usize = 256;

/// Events kept for clients that reconnect with `Last-Event-ID`.
pub const EVENTS_KEPT_MAX: usize = 256;

/// Between two comments on a quiet stream. Heroku's router closes a connection after 55 s without data.
pub const STREAM_BEAT: Duration = Duration::from_secs(15);

/// Between two reads of the state of all dynos while a client watches.
pub const STATUS_EVERY: Duration = Duration::from_secs(1);

/// The delay after a change, so that changes in quick succession are shown together.
pub const STATUS_SOON: Duration = Duration::from_millis(100);

/// A drain is shown as quiet after this long without lines. Runtime metrics come every 20 s; an app without
/// them and without traffic may be quiet for longer, so this is not reported.
pub const DRAIN_QUIET: Duration = Duration::from_secs(15 * 60);

/// How long a form waits for the decision before the browser is redirected to the page.
pub const FORM_WAIT: Duration = Duration::from_secs(3);
