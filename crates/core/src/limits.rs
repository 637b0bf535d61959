//! Every bound in one place, with its unit and its reason.

use std::time::Duration;

/// Bytes of any name. The Platform API's longest, a process type, is `^[-\w]{1,128}$`.
pub const NAME_BYTES_MAX: usize = 128;

/// Bytes of a dyno instance's id. The platform's are UUIDs of 36; this fills 64 with its length.
pub const INSTANCE_ID_BYTES_MAX: usize = 63;

/// Characters of an outsider's text that a message quotes back.
pub const QUOTED_CHARS_MAX: usize = 64;

// === Wire ===

/// Digits of a frame's count: as many as `BODY_BYTES_MOST` has, for a frame is no longer than its body. A
/// longer number cannot be a count that we would follow, so it ends the batch before any arithmetic is done
/// with it.
pub const COUNT_DIGITS_MAX: usize = 9;

const _: () = assert!(BODY_BYTES_MOST < 10u64.pow(COUNT_DIGITS_MAX as u32));

// === Ingest ===

/// Frames of one batch; what is behind them counts as one bad frame. Logplex holds 1,024 for a drain, and
/// `drain.max_body` of 4 MiB has room for 87,000 of the shortest line.
pub const FRAMES_PER_BATCH_MAX: u64 = 100_000;

/// How long a frame id is remembered per drain at least. Logplex retries at once, three times at most;
/// fifteen minutes also cover a retry that a proxy held back.
pub const FRAME_ID_MEMORY: Duration = Duration::from_secs(15 * 60);

/// Frame ids remembered per drain at least, and twice as many at most, the oldest out. A batch a second for
/// fifteen minutes is 900.
pub const FRAME_IDS_PER_DRAIN_MAX: usize = 4096;

/// Batches with something in them that wait for the engine. It takes microseconds for each, so a full
/// queue means that the engine stands still, and logplex is asked to try again.
pub const QUEUED_BATCHES_MAX: usize = 1024;

/// Events of one app that wait for the engine, unless they are of one batch: at some ten microseconds each,
/// a flood of one app keeps the others waiting for a tenth of a second.
pub const QUEUED_EVENTS_PER_APP_MAX: usize = 10_000;
/// Longer than the 90 s for which Heroku's router keeps an idle connection to us, so that it is always
/// the router that closes (H13 and H18 otherwise), and than the 144 s + 15 s of logplex itself.
pub const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(180);

const _: () = assert!(KEEP_ALIVE_IDLE.as_secs() > 159);

/// Drains whose frame ids are remembered, longest quiet one out: 200 apps with the five drains that an
/// app may have.
pub const FRAME_ID_DRAINS_MAX: usize = 1024;

/// What a refused batch's sender is asked to wait. Logplex itself tries again at once.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);

// === Front door ===

/// Bytes of a request's head. Logplex sends about 400 and Heroku's router adds as many again.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Header lines of a request. Behind Heroku's router there are about 20.
pub const HEADERS_MAX: usize = 64;

/// From a new connection to the end of its TLS handshake, where the HTTP server ends TLS by itself. On a slow
/// line it is two round trips and 4 KiB of certificates.
pub const HANDSHAKE: Duration = Duration::from_secs(10);

/// How often the files of the certificate are looked at; what is new must be the same at two looks.
pub const TLS_LOOK_EVERY: Duration = Duration::from_secs(5);

/// A certificate that is good for less should have been renewed: Let's Encrypt is asked 30 days before.
pub const TLS_EXPIRES_SOON: Duration = Duration::from_secs(14 * 86_400);

/// How often that is said.
pub const TLS_END_TOLD_EVERY: Duration = Duration::from_secs(86_400);

/// From the first byte of a request (of a new connection: from its start) to the end of its head. A
/// half-open request is gone well within 30 s.
pub const HEAD_READ: Duration = Duration::from_secs(15);

/// From the end of a head to the end of its body. Logplex gives up after 5 s.
pub const BODY_READ: Duration = Duration::from_secs(10);

/// Bytes that are made room for at once on the word of a sender that has begun to send: a full batch of
/// logplex is 100 KiB. What comes on top is made room for when it is there.
pub const BODY_ROOM_BYTES: usize = 128 * 1024;

/// For how long one write may stand still because the client reads nothing.
pub const WRITE_STALL: Duration = Duration::from_secs(20);

/// For how long what a refused peer still sends is thrown away, so that it can read the refusal: an
/// outright close would reset the connection and take the answer with it.
pub const LINGER: Duration = Duration::from_secs(2);

/// Wrong passwords that one address may show at once, and how long until it may show one more. Nobody types
/// so many; a drain with a wrong password shows one for each batch.
pub const WRONG_PASSWORDS: (u32, Duration) = (60, Duration::from_secs(1));

/// For how long the answer to one beyond those is held back. Logplex gives up after 5 s.
pub const WRONG_PASSWORD_HOLD: Duration = Duration::from_millis(250);

/// Addresses whose wrong passwords are counted, at some 50 bytes each; all others share one budget.
pub const WRONG_CALLERS_MAX: usize = 10_000;

/// How often addresses are forgotten whose budget is whole again.
pub const WRONG_PASSWORDS_SWEPT_EVERY: Duration = Duration::from_secs(60);

/// How often dynowarden logs that an address is beyond its budget.
pub const WRONG_PASSWORDS_TOLD_EVERY: Duration = Duration::from_secs(60);

/// For how long requests in flight are waited for at shutdown; a platform kills after 30 s.
pub const HTTP_GRACE: Duration = Duration::from_secs(8);

/// Bytes of the body of a hook or an admin request.
pub const ADMIN_BODY_BYTES_MAX: usize = 16 * 1024;

/// For how long a hook waits for its decisions; Heroku's router gives up after 30 s.
pub const ORDER_WAIT: Duration = Duration::from_secs(25);

/// The longest pause that a person may ask for.
pub const PAUSE_MAX: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Characters of a person's reason for a pause.
pub const PAUSE_REASON_CHARS_MAX: usize = 256;

/// Pause between two tries to accept a connection when the system refuses (no descriptors left), from
/// the first to the longest.
pub const ACCEPT_BACKOFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

const _: () = assert!(HEAD_READ.as_secs() + BODY_READ.as_secs() < 30);
const _: () = assert!(HANDSHAKE.as_secs() + HEAD_READ.as_secs() < 30);
const _: () = assert!(HEAD_BYTES_MAX >= 8192, "hyper takes no smaller buffer");

// === Engine ===

/// An error older than this, by the time in its line, is history: a backlog after an outage, not a dyno
/// in trouble now. R14 repeats about every 21 s, so a living trouble is never older than this.
pub const ERROR_AGE_MAX: Duration = Duration::from_secs(5 * 60);

/// How far ahead of our clock a line's time may be before the two clocks are said to disagree.
pub const CLOCK_LEAD_MAX: Duration = Duration::from_secs(2 * 60);

/// Dynos of one formation that may wait for their turn.
pub const QUEUED_PER_FORMATION_MAX: usize = 256;

/// Dynos that the engine keeps state for, over all apps; past it the longest quiet one is forgotten.
pub const DYNOS_MAX: usize = 200_000;

/// Tries of one look at the API before the attempt is given up; a fresh error arrives in 21 s anyway.
pub const INSPECTIONS_MAX: u32 = 3;

/// DELETEs of one attempt, first try included.
pub const DELETES_MAX: u32 = 3;

/// After a DELETE without an answer, how long the old instance must still be seen before it is asked
/// again: the first request may only be late, and then its restart shows within these seconds.
pub const LOST_ANSWER_WAIT: Duration = Duration::from_secs(5);

/// The account's API tokens when its bucket is full, and how many come back a minute (heroku.md §5).
pub const API_TOKENS_MAX: u32 = 4500;
/// See [`API_TOKENS_MAX`].
pub const API_TOKENS_PER_MINUTE: u32 = 75;

/// Tokens left to the account's other users: a fifth.
pub const API_TOKENS_RESERVE: u32 = API_TOKENS_MAX / 5;

/// Where the API says 429 and gives no time: ten seconds bring a dozen calls back, a restart needs three.
/// It doubles with every further 429.
pub const THROTTLE_WAIT: Duration = Duration::from_secs(10);

/// While something waits for calls to come back to the account, how many are left is asked this often. The
/// question costs none of them.
pub const TOKENS_ASKED_EVERY: Duration = Duration::from_secs(15);

/// The longest wait that a 429 can ask for.
pub const THROTTLE_WAIT_MAX: Duration = Duration::from_secs(5 * 60);

/// Between two looks of an attempt that waits for something outside; the first wait is the shortest.
pub const WAIT_MIN: Duration = Duration::from_secs(5);
/// See [`WAIT_MIN`].
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// Between two looks for a dyno that is being restarted; the first comes soonest.
pub const POLL_MIN: Duration = Duration::from_secs(1);
/// See [`POLL_MIN`].
pub const POLL_MAX: Duration = Duration::from_secs(5);

/// Between two looks for a dyno that did not come back in time.
pub const FAILED_POLL_EVERY: Duration = Duration::from_secs(30);

/// How long a person's order waits for its turn before it is dropped.
pub const ORDER_PATIENCE: Duration = Duration::from_secs(60 * 60);

/// How often an erring dyno that was given up is looked at for a new release that no line announced.
pub const GIVEN_UP_LOOK_EVERY: Duration = Duration::from_secs(10 * 60);

/// An error this soon after a restart says that restarting does not help.
pub const NO_HELP_WITHIN: Duration = Duration::from_secs(15 * 60);

/// How far a memory reading may lie from the error that it is evidence for: three samples.
pub const EVIDENCE_AGE_MAX: Duration = Duration::from_secs(60);

/// How exactly the order is kept in which dynos are forgotten when room is short.
pub const QUIET_STEP: Duration = Duration::from_secs(60);

/// How long the old process of a dyno may live alongside the new one (heroku.md §2.4).
pub const OLD_PROCESS_MAX: Duration = Duration::from_secs(30);

/// Orders of persons that may be waiting for their first look.
pub const OPEN_ORDERS_MAX: usize = 64;

// === Statistics ===

/// Minutes of traffic that are kept of a dyno: ten before a restart, up to [`PROOF_SPAN_MAX`] after it, and
/// a slow boot between. A minute is 170 bytes, so a dyno costs 8 KiB at most.
pub const TRAFFIC_MINUTES: u64 = 45;

/// Dynos of which traffic is kept, over all apps: 80 MB if every one of them is busy all the time.
pub const TRAFFIC_DYNOS_MAX: usize = 10_000;

/// Requests below which the 95th percentile is the word of one of them.
pub const TRAFFIC_REQUESTS_LEAST: u64 = 20;

// === Incidents ===

/// How long before a restart the figures begin that it is compared with.
pub const PROOF_BEFORE: Duration = Duration::from_secs(10 * 60);

/// How long a dyno that is back is watched before it is said whether the restart helped. The first error of
/// a restart that does not help came 17 s after `up` (heroku.md §3), and five minutes make a percentile.
pub const PROOF_SPAN_MIN: Duration = Duration::from_secs(5 * 60);
/// See [`PROOF_SPAN_MIN`]; it is `min_uptime` and two minutes, within these bounds.
pub const PROOF_SPAN_MAX: Duration = Duration::from_secs(20 * 60);

const _: () = assert!(PROOF_BEFORE.as_secs() + PROOF_SPAN_MAX.as_secs() < TRAFFIC_MINUTES * 60);

/// An incident without a restart is over when nothing was heard of it for so long: an error repeats every
/// 21 s, and a cool-down of ten minutes lies between.
pub const INCIDENT_QUIET: Duration = Duration::from_secs(15 * 60);

/// An incident that nothing ends is over then.
pub const INCIDENT_SPAN_MAX: Duration = Duration::from_secs(86_400);

/// Open incidents of one notifier; past it the oldest is forgotten.
pub const INCIDENTS_MAX: usize = 1024;

/// Dynos that one incident tells of; those beyond have one of their own.
pub const INCIDENT_DYNOS_MAX: usize = 100;

/// Dynos and apps that a message names one by one.
pub const MESSAGE_NAMES_MAX: usize = 10;

/// Restarted dynos of which is remembered when they were back.
pub const RETURNS_MAX: usize = 10_000;

/// Dynos of one type that err this soon after a release make it suspect.
pub const SUSPECT_WITHIN: Duration = Duration::from_secs(30 * 60);

/// How many dynos make a release suspect: one may have had bad luck.
pub const SUSPECT_DYNOS: usize = 2;

/// A dyno that erred this long before a release says nothing against it.
pub const SUSPECT_CLEAN: Duration = Duration::from_secs(60 * 60);

// === Notifiers ===

/// `[[notify]]` tables.
pub const NOTIFIERS_MAX: usize = 32;

/// Characters of a notifier's name, which stands in metrics.
pub const NOTIFIER_NAME_CHARS_MAX: usize = 64;

/// Bytes of a receiver's address. Slack's are 80; some webhooks carry a token of a kilobyte.
pub const NOTIFIER_URL_BYTES_MAX: usize = 4096;

/// Addresses that one e-mail goes to.
pub const RECIPIENTS_MAX: usize = 50;

/// `notify.group`: a quiet message that waits longer is no news.
pub const GROUP_MAX: Duration = Duration::from_secs(3600);

/// `notify.repeat`: more often is noise, more seldom is never.
pub const REPEAT_MIN: Duration = Duration::from_secs(10 * 60);
/// See [`REPEAT_MIN`].
pub const REPEAT_MAX: Duration = Duration::from_secs(7 * 86_400);

/// Records that wait for the task that makes messages of them. It takes microseconds for each.
pub const QUEUED_NOTICES_MAX: usize = 4096;

/// Messages that wait for one receiver, oldest out: half a day of a busy one that is down.
pub const QUEUED_MESSAGES_MAX: usize = 64;

/// One try of a delivery, from connecting to the last byte of the answer.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two tries of a delivery; doubled each time.
pub const DELIVERY_WAIT_MIN: Duration = Duration::from_secs(2);
/// See [`DELIVERY_WAIT_MIN`].
pub const DELIVERY_WAIT_MAX: Duration = Duration::from_secs(5 * 60);

/// The longest wait that a receiver's `Retry-After` can ask for.
pub const DELIVERY_RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// A message that could not be delivered for so long is history.
pub const MESSAGE_AGE_MAX: Duration = Duration::from_secs(6 * 3600);

/// Failed tries in a row after which a notifier is said to be down: it may only have been restarted.
pub const NOTIFIER_DOWN_TRIES: u32 = 3;

/// Bytes of a receiver's answer that are looked at: Slack's errors are a word.
pub const RECEIVER_ANSWER_BYTES_MAX: usize = 4096;

/// How long a shutdown waits for messages on their way.
pub const LAST_MESSAGES_WAIT: Duration = Duration::from_secs(5);

// === Settings ===

/// Networks of proxies that are believed.
pub const PROXIES_MAX: usize = 256;

/// Bytes of the settings file, and of a file that a setting names. A large one has a few kilobytes.
pub const SETTINGS_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes of a password or a token. They travel in one header, which hyper and most proxies hold to 8 KiB.
pub const SECRET_BYTES_MAX: usize = 1024;

/// Watched apps. Two hundred are a normal day; each costs two start-up calls, of 4,500 in the bucket.
pub const APPS_MAX: usize = 1000;

/// Rules of one app. Each is asked about each event of its app.
pub const RULES_MAX: usize = 64;

/// Characters of a rule's name, which stands in every record and in metric labels.
pub const RULE_NAME_CHARS_MAX: usize = 64;

/// Times within which a rule may count errors, and restarts that a rate may allow.
pub const COUNT_MAX: u32 = 1000;

/// Dynos of one process type that may be out at once; more than a formation can have.
pub const CONCURRENT_MAX: u32 = 1000;

/// Cool-down, `give_up_for` and the span of `max_restarts`: what the store is asked for at a start.
pub const POLICY_SPAN_MAX: Duration = Duration::from_secs(30 * 86_400);

/// `settle` and `boot_timeout`: for so long a formation can stand still behind one dyno.
pub const BOOT_SPAN_MAX: Duration = Duration::from_secs(3600);

/// `min_uptime`, `within` and `for`: the platform replaces each dyno about once a day, so nothing about one
/// instance can take longer.
pub const INSTANCE_SPAN_MAX: Duration = Duration::from_secs(86_400);

/// The shortest span in which something may be counted or waited for: anything but none.
pub const SPAN_MIN: Duration = Duration::from_millis(1);

/// `heroku.request_timeout`: below it no call across the internet ends; above it the caller is asleep.
pub const REQUEST_TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// See [`REQUEST_TIMEOUT_MIN`].
pub const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(300);

/// `drain.max_body`: a batch is about 100 KiB, one line at least 10 KiB.
pub const BODY_BYTES_LEAST: u64 = 1024;
/// See [`BODY_BYTES_LEAST`]; as many bytes may be held for each connection.
pub const BODY_BYTES_MOST: u64 = 256 * 1024 * 1024;
/// Logplex drops a batch that is refused as too large, so a bound below this costs lines (heroku.md §8.9).
pub const BODY_BYTES_SAFE: u64 = 1024 * 1024;

/// `drain.max_connections`: as many file descriptors as a process can expect to be given.
pub const CONNECTIONS_MAX: u32 = 65_536;

/// `store.keep`: less would forget this morning's restarts before anybody asks.
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

/// Calls and posts that the simulated Heroku remembers for tests to look at, oldest out: some megabytes.
pub const SIM_RECORDS_MAX: usize = 100_000;

/// Bytes of the bodies among those posts, oldest out.
pub const SIM_POSTED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of a request body that the simulated Platform API reads; the largest real one is a URL.
pub const SIM_BODY_BYTES_MAX: usize = 64 * 1024;

/// Lines that a subscriber of the simulated Heroku may be behind before it misses some.
pub const SIM_LINES_BEHIND_MAX: usize = 4096;

// === Driver ===

/// Answers of the API and of the store that wait for the engine. A task that has one waits when it is full.
pub const QUEUED_ANSWERS_MAX: usize = 1024;

/// How long a shutdown waits for calls that were made; the platform kills after 30 s, and a call takes
/// at most `heroku.request_timeout`, 10 s unless set.
pub const LAST_ANSWERS_WAIT: Duration = Duration::from_secs(11);

const _: () = assert!(HTTP_GRACE.as_secs() + LAST_ANSWERS_WAIT.as_secs() < 20);

// === Hands ===

/// Bytes of one answer of the Platform API. A page holds at most 1,000 dynos of about 700 bytes.
pub const API_BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Pages of one list: 200 entries each unless the API says otherwise.
pub const API_PAGES_MAX: usize = 16;

/// The connect part of `heroku.request_timeout`, where that is longer.
pub const API_CONNECT: Duration = Duration::from_secs(5);

/// The longest wait that a 429 can impose.
pub const API_WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// Records that a listener may be behind before it misses the oldest.
pub const RECORDS_BEHIND_MAX: usize = 1024;
/// Bytes of one text line of an archive. Logplex caps a line at 10,240 with its header and splits dyno output
/// at 10,000; six times that leaves room for what production may do differently.
pub const ARCHIVE_LINE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of one frame of an archive: as much as the daemon takes in one body by default.
pub const ARCHIVE_FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Apps in one replay. Each has an engine of its own; an archive of more is one whose system names are
/// not names of apps.
pub const REPLAY_APPS_MAX: usize = 256;

/// Deadlines that a replay follows between two lines. A dyno that never comes back is looked for every
/// 30 s, so this covers a silence of weeks; a longer one is jumped over.
pub const REPLAY_WAKES_MAX: u32 = 50_000;

/// How long a replay goes on behind the last line, for dynos that are waiting for their turn.
pub const REPLAY_TAIL: Duration = Duration::from_secs(60 * 60);

/// Dynos whose repeated refusals a replay counts at a time; past it all of them are printed.
pub const REPLAY_FOLDS_MAX: usize = 4096;

/// Bytes of an archive that are read at a time.
pub const REPLAY_CHUNK_BYTES: usize = 64 * 1024;

/// Bytes from which on a file is large enough to be waited for, and gets a progress bar.
pub const REPLAY_PROGRESS_BYTES_MIN: u64 = 8 * 1024 * 1024;

// === Vigil ===

/// Between two rounds of the watched apps: what each is, and its drains. With many apps it is longer.
pub const ROUND_EVERY: Duration = Duration::from_secs(10 * 60);

/// Calls that rounds may take in the long run: a fifth of what the account gets back.
pub const ROUND_CALLS_PER_MINUTE: u32 = API_TOKENS_PER_MINUTE / 5;

/// Calls of rounds that may be under way at once. At 100 ms each, 200 apps are listed in 3 s at a start.
pub const ROUND_CALLS_AT_ONCE: usize = 8;

/// Until something of an app is asked again that had no answer; it doubles with every failure.
pub const ROUND_AGAIN: Duration = Duration::from_secs(60);

/// Between two probes of the token, which cost nothing.
pub const PROBE_EVERY: Duration = Duration::from_secs(10 * 60);

/// Until the token is probed again after a probe that failed; it doubles with every failure.
pub const PROBE_AGAIN: Duration = Duration::from_secs(60);

/// Probes in a row that must fail before the API is said to be away: over four minutes.
pub const PROBES_FAILED: u32 = 3;

/// Between two looks at Heroku's status page.
pub const PLATFORM_STATUS_EVERY: Duration = Duration::from_secs(2 * 60);

/// Bytes of Heroku's status page.
pub const STATUS_BYTES_MAX: usize = 256 * 1024;

/// Systems that Heroku's status page may name, and characters of a name: there are three.
pub const STATUS_SYSTEMS_MAX: usize = 16;

/// Between two looks at what has been heard.
pub const LISTEN_EVERY: Duration = Duration::from_secs(15);

/// The least and the most silence that is remarkable of an app with runtime metrics: nine samples of 20 s.
pub const SILENCE_SAMPLED: (Duration, Duration) = (Duration::from_secs(3 * 60), Duration::from_secs(30 * 60));

/// The same of an app without them, which may have nothing to say.
pub const SILENCE_UNSAMPLED: (Duration, Duration) =
    (Duration::from_secs(30 * 60), Duration::from_secs(12 * 60 * 60));

/// Samples that have not come for so long, while other lines did, have been switched off.
pub const SAMPLES_STOPPED: Duration = Duration::from_secs(3 * 60);

/// `drain.silent_after`: below it an ordinary pause would be told.
pub const SILENT_AFTER_MIN: Duration = Duration::from_secs(1);
/// See [`SILENT_AFTER_MIN`].
pub const SILENT_AFTER_MAX: Duration = Duration::from_secs(7 * 86_400);

/// How often a silence is looked into that was harmless, because nothing runs.
pub const SILENCE_LOOK_EVERY: Duration = Duration::from_secs(10 * 60);

/// A drain that is in no list is looked for once more after so long: it may be being changed.
pub const UNLISTED_RECHECK: Duration = Duration::from_secs(60);

/// Lost lines are told once in this interval.
pub const LOSS_TOLD_EVERY: Duration = Duration::from_secs(60 * 60);

/// For how long a batch on `POST /logs` waits for the first list of drains; logplex gives up after 5 s.
pub const FIRST_LIST_WAIT: Duration = Duration::from_secs(3);

/// Drains of one app that are remembered because batches came from them; an app has five at most.
pub const DRAINS_HEARD_MAX: usize = 8;

// === Doctor ===

/// For how long preboot keeps a release's old dynos alongside the new ones (heroku.md §2.4).
pub const PREBOOT_OVERLAP: Duration = Duration::from_secs(3 * 60);

/// Apps that `check` asks about at once.
pub const CHECKED_AT_ONCE: usize = 8;

// === Store ===

/// How long a claim stands without being renewed: so long can a replica that died keep others from the
/// dyno. Its holder renews it at every third of this, so two renewals may fail.
pub const CLAIM_LEASE: Duration = Duration::from_secs(60);

/// How often a holder renews its claims.
pub const CLAIM_RENEW_EVERY: Duration = Duration::from_secs(CLAIM_LEASE.as_secs() / 3);

/// How long a claim may take, with everything that it waits for. Heroku repeats an error after 21 s.
pub const CLAIM_WAIT: Duration = Duration::from_secs(2);

/// How long any other question to the store may take.
pub const STORE_WAIT: Duration = Duration::from_secs(5);

const _: () = assert!(CLAIM_WAIT.as_secs() * 2 < CLAIM_RENEW_EVERY.as_secs());

/// How often a store that is away is tried again, and one that is idle is asked whether it is there.
pub const STORE_TRY_EVERY: Duration = Duration::from_secs(1);
/// See [`STORE_TRY_EVERY`].
pub const STORE_ASK_EVERY: Duration = Duration::from_secs(5);

/// Rows that wait to be written. At some 500 bytes a row this is five megabytes, and repeated refusals
/// wait as one row, so a store can be away for hours. When it is full the oldest decision that restarted
/// nothing is dropped and counted.
pub const UNWRITTEN_ROWS_MAX: usize = 10_000;

/// Restarts and their outcomes that wait to be written. There is no new restart while the store is away,
/// so these are the restarts of dry runs and the ends of what had begun: a few for every dyno.
pub const UNWRITTEN_RESTARTS_MAX: usize = 100_000;

/// How often history is written while it keeps coming; restarts, and what somebody waits for, at once. A
/// dyno that errs without end costs a few writes a second then, not one for each line.
pub const HISTORY_WRITE_EVERY: Duration = Duration::from_millis(100);

/// Rows that are written in one transaction: a few milliseconds in which a claim may have to wait.
pub const ROWS_PER_WRITE_MAX: usize = 256;

/// Kinds of refusals that are remembered for folding; one more, and the folding begins again.
pub const FOLDS_MAX: usize = 10_000;

/// A folded row covers at most this, so that an app that errs for a week shows on each of its days.
pub const FOLD_SPAN_MAX: Duration = Duration::from_secs(86_400);

/// Decisions kept, whatever their age: half a gigabyte.
pub const DECISIONS_KEPT_MAX: u64 = 1_000_000;

/// Rows that retention deletes in one transaction.
pub const ROWS_PER_PRUNE_MAX: u64 = 500;

/// How often retention looks for rows that are too old or too many.
pub const PRUNE_RECORD_EVERY: Duration = Duration::from_secs(10 * 60);

/// Decisions on one page of decision history.
pub const PAGE_ROWS_MAX: u32 = 1000;

/// Connections to a PostgreSQL: a replica has one writer, a few claims and a reader, and small plans
/// allow 20 to all replicas together.
pub const STORE_CONNECTIONS_MAX: u32 = 4;

/// How often a replica reads the pauses that others were told of: "all of them within seconds".
pub const PAUSES_READ_EVERY: Duration = Duration::from_secs(2);

// === Page ===

/// Points of one dyno's chart: a minute each, three hours.
pub const TRACE_POINTS_MAX: usize = 180;

/// Restarts marked on one dyno's chart. `max_restarts` is 3 in 2 h unless set.
pub const TRACE_MARKS_MAX: usize = 32;

/// Dynos that have a chart. At 360 bytes of points each, all of them take about 10 MB.
pub const TRACES_MAX: usize = 20_000;

/// Dynos of one app that the overview shows; the healthy ones past it stand behind a count.
pub const DYNOS_SHOWN_MAX: usize = 50;

/// Dynos on one page of an app.
pub const DYNOS_PER_PAGE: usize = 100;

/// Dynos that the overview shows at most with the healthy ones among them; past it only the others.
pub const ROWS_SHOWN_MAX: usize = 200;

/// Apps whose dynos the overview shows; the others stand in a line each.
pub const APPS_SHOWN_MAX: usize = 20;

/// Things that need attention in the overview's list.
pub const ATTENTION_SHOWN_MAX: usize = 40;

/// Decisions on the overview, and on one page of decisions.
pub const DECISIONS_SHOWN: usize = 25;

/// Decisions that are kept in memory for the page, oldest out; about 1 KB each.
pub const RULINGS_KEPT_MAX: usize = 1000;

/// Decisions on a page of `/decisions`, and in an answer of `GET /api/v1/decisions` when the client sets no
/// limit.
pub const DECISIONS_ANSWERED: u32 = 100;

/// Open event streams. Each takes a connection and some 20 KB; a wall display and a dozen people take 13.
pub const STREAMS_MAX: usize = 256;

/// Events that a stream may be behind before it is ended and told to reconnect.
pub const STREAM_BACKLOG_MAX: usize = 256;

/// Events that are kept for a reader that reconnects with `Last-Event-ID`.
pub const EVENTS_KEPT_MAX: usize = 256;

/// Between two comments on a quiet stream. Heroku's router ends a connection on which nothing moved for
/// 55 s.
pub const STREAM_BEAT: Duration = Duration::from_secs(15);

/// Between two looks at the state of all dynos while a client watches.
pub const STATUS_EVERY: Duration = Duration::from_secs(1);

/// Between a change and the look at it, so that changes that come together are shown together.
pub const STATUS_SOON: Duration = Duration::from_millis(100);

/// A drain that has said nothing for so long is shown as quiet. Runtime metrics come every 20 s; an app
/// without them and without traffic may well be quiet for longer, so it is only shown.
pub const DRAIN_QUIET: Duration = Duration::from_secs(15 * 60);

/// For how long a form waits for its order to be judged before the browser is sent on to see for itself.
pub const FORM_WAIT: Duration = Duration::from_secs(3);
