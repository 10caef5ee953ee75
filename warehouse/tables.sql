-- The tables of one generation. The database is `<workspace>_g<generation>`: a replay builds the next one beside it.
-- Every table is computed from the log and may be written again: rows that say the same collapse, and the latest counts.

-- 1. Log order: which offsets are in, and which of them are copies of an earlier event (1) or unreadable (2). Between
--    several workers its insert is the commit point, and gen the owner's generation.
CREATE TABLE log_rows (
    part UInt16,
    off  UInt64 CODEC(Delta, ZSTD(1)),
    gen  UInt32,
    dup  UInt8
) ENGINE = ReplacingMergeTree(gen) ORDER BY (part, off) SETTINGS index_granularity = 512;

-- 2. First copies by key (the envelope's: a keyed hash of source and id), for finding duplicates. All columns are the
--    sorting key, so only one row written twice collapses; found by key alone, which is all that its index holds.
CREATE TABLE ids (
    key  UInt128,
    part UInt16,
    off  UInt64 CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree PRIMARY KEY key ORDER BY (key, part, off) SETTINGS index_granularity = 256;

-- 3. The state: one row per unique event, by anchor node and time. node = 0: an event without identifiers.
--    amount is the event's money (Decimal, 0 where currency = ''); payload is the whole envelope.
--    (part, off) names the row: what a worker writes again, or another one wrote before it, collapses.
--    (time, received_at, place, key) is the total order of events; source and the id in the payload name one.
CREATE TABLE events (
    node        UInt128,
    time        DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    type        LowCardinality(String),
    part        UInt16,
    off         UInt64 CODEC(Delta, ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    place       UInt64 CODEC(ZSTD(1)),
    key         UInt128 CODEC(NONE),
    source      LowCardinality(String),
    fact        UInt128 CODEC(ZSTD(1)), -- the fact that it tells (tables 16, 17); 0: none
    doc         UInt128 CODEC(ZSTD(1)), -- the order that it tells of (table 19); 0: none
    amount      Decimal(38, 6) CODEC(ZSTD(1)),
    currency    LowCardinality(String),
    account     String CODEC(ZSTD(1)), -- the account that it names (table 20); '': none
    payload     String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree ORDER BY (node, time, part, off)
  SETTINGS index_granularity = 128, min_compress_block_size = 4096, max_compress_block_size = 8192;

-- 4. Traits and consent, last writer wins by ver: the event's rank in the total order (schemas/order.py: time,
--    received_at, place and key in one number). value is JSON text, NULL = removed.
CREATE TABLE traits (
    node    UInt128,
    kind    LowCardinality(String), -- 'trait' | 'consent'
    name    String,
    value   Nullable(String),
    ver     UInt256,
    source  LowCardinality(String),
    channel LowCardinality(String)
) ENGINE = ReplacingMergeTree(ver) ORDER BY (node, kind, name) SETTINGS index_granularity = 256;

-- 5. Identifiers: what each node stands for, and when it was seen (event time). Idempotent to write again.
CREATE TABLE identifiers (
    node       UInt128,
    type       LowCardinality(String),
    value      String,
    first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_seen  SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
) ENGINE = AggregatingMergeTree ORDER BY (node, type, value) SETTINGS index_granularity = 256;

-- 6. Who is who: node -> profile (the founding node; 0 = nobody), latest ver wins. ver = offset in simorgh.identity.
CREATE TABLE identity (
    node    UInt128,
    profile UInt128,
    ver     UInt64
) ENGINE = ReplacingMergeTree(ver) ORDER BY node SETTINGS index_granularity = 256;

--    identity_log: the same rows, and each version stays: who was who.
CREATE TABLE identity_log (
    node    UInt128,
    profile UInt128,
    ver     UInt64
) ENGINE = ReplacingMergeTree ORDER BY (node, ver) SETTINGS index_granularity = 1024;

-- 7. The inverse: profile -> nodes; live = 0 when the node left.
CREATE TABLE members (
    profile UInt128,
    node    UInt128,
    live    UInt8,
    ver     UInt64
) ENGINE = ReplacingMergeTree(ver) ORDER BY (profile, node) SETTINGS index_granularity = 256;

-- 8. One row per profile, recomputed when it is touched: what lists and analysts read. live = 0: absorbed.
--    due: the next moment at which the passing of time may change a segment (2299 = never).
CREATE TABLE profile_rows (
    profile    UInt128,
    ver        UInt64,
    live       UInt8,
    traits     String, -- JSON {name: value}
    provenance String, -- JSON {name: {"source", "channel", "time"}}
    consent    String, -- JSON {purpose: value}
    identities Nested(type LowCardinality(String), value String,
        first_seen DateTime64(3, 'UTC'), last_seen DateTime64(3, 'UTC')),
    counts     Map(LowCardinality(String), UInt64), -- events by type, of the most frequent types
    events     UInt64,
    orders     UInt64, -- without those that were cancelled
    orders_placed UInt64,
    revenue    Map(LowCardinality(String), Decimal(38, 6)),
    refunds    Map(LowCardinality(String), Decimal(38, 6)),
    first_seen DateTime64(3, 'UTC'),
    last_seen  DateTime64(3, 'UTC'),
    name       String, -- lower-cased trait, for search
    email      String, -- lower-cased trait, for search
    segments   Array(String),
    due        DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(ver) ORDER BY profile SETTINGS index_granularity = 128;

-- 9. The same profiles as 360° views: few columns, since a look-up and each merge of parts cost by the column.
--    view: JSON of what a view says but segments; '{}' where live = 0.
CREATE TABLE views (
    profile  UInt128,
    ver      UInt64,
    live     UInt8,
    view     String,
    segments Array(String),
    entered  Array(DateTime64(3, 'UTC')) -- of each segment, in their order
) ENGINE = ReplacingMergeTree(ver) ORDER BY profile SETTINGS index_granularity = 128;

-- 10. Transitions by profile: the record of what was told; a profile's memberships are the latest per segment.
CREATE TABLE transitions (
    profile    UInt128,
    segment    LowCardinality(String),
    off        UInt64,
    kind       LowCardinality(String), -- 'entered' | 'exited'
    at         DateTime64(3, 'UTC'),
    cause      LowCardinality(String),
    entered_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree ORDER BY (profile, segment, off) SETTINGS index_granularity = 256;

-- 11. Memberships by segment, for listing members; latest ver (= offset in simorgh.segments) wins.
CREATE TABLE memberships (
    segment    LowCardinality(String),
    profile    UInt128,
    member     UInt8,
    entered_at DateTime64(3, 'UTC'),
    ver        UInt64
) ENGINE = ReplacingMergeTree(ver) ORDER BY (segment, profile) SETTINGS index_granularity = 256;

-- 12. Decisions of identity by node: merges, refusals, splits, shared identifiers, for explain.
CREATE TABLE decisions (
    node    UInt128,
    off     UInt64,
    n       UInt16,
    at      DateTime64(3, 'UTC'),
    outcome LowCardinality(String),
    detail  String -- JSON
) ENGINE = ReplacingMergeTree ORDER BY (node, off, n) SETTINGS index_granularity = 256;

-- 13. Rejected events, latest ver wins; resolved = 1 once a retry was accepted.
CREATE TABLE rejected (
    source      LowCardinality(String),
    id          String, -- unique within its source
    digest      UInt64, -- of the payload: two different bad events under one id are both kept
    code        LowCardinality(String),
    reason      String,
    channel     LowCardinality(String),
    received_at DateTime64(3, 'UTC'),
    place       UInt64, -- within its request: a retry keeps it
    payload     String CODEC(ZSTD(3)), -- the original bytes
    webhook     String, -- JSON: what a retry needs to know of the vendor's request; '': it came otherwise
    resolved    UInt8,
    ver         UInt64
) ENGINE = ReplacingMergeTree(ver) ORDER BY (source, id, digest) SETTINGS index_granularity = 256;

-- 14. Webhook deliveries, latest ver (= offset in simorgh.deliveries) wins.
CREATE TABLE deliveries (
    trigger       LowCardinality(String),
    id            String, -- the webhook-id
    status        LowCardinality(String), -- 'pending' | 'delivered' | 'gave_up'
    attempts      UInt16,
    next_at       DateTime64(3, 'UTC'),
    created_at    DateTime64(3, 'UTC'),
    updated_at    DateTime64(3, 'UTC'),
    response_code UInt16, -- 0: no answer
    error         String,
    body          String CODEC(ZSTD(3)),
    ver           UInt64
) ENGINE = ReplacingMergeTree(ver) ORDER BY (trigger, id) SETTINGS index_granularity = 256;

-- 15. What identity has heard, for the workers' filter of news: a node (link = node) and when it was first received, or
--     a link (link = one node XOR the other: keyed hashes, so no two meet), and whether an alias said so.
CREATE TABLE links (
    link  UInt128,
    at    SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    alias SimpleAggregateFunction(max, UInt8)
) ENGINE = AggregatingMergeTree ORDER BY link SETTINGS index_granularity = 256;

-- 16. Who told which fact (envelope: business), for finding other tellings of it: of one fact the least (trust,
--     received_at, place, key) counts. (part, off) names the event, node is its anchor.
CREATE TABLE tellings (
    fact        UInt128,
    trust       UInt64,
    received_at DateTime64(3, 'UTC'),
    place       UInt64,
    key         UInt128 CODEC(NONE),
    node        UInt128 CODEC(NONE),
    part        UInt16,
    off         UInt64
) ENGINE = ReplacingMergeTree PRIMARY KEY fact ORDER BY (fact, trust, received_at, place, key, part, off)
  SETTINGS index_granularity = 256;

-- 17. Events that do not count, since table 16 holds a lesser telling of their fact. What is here stays: more tellings
--     make none of these the least. The view `counted` is `events` without them.
CREATE TABLE retellings (
    node UInt128,
    key  UInt128 CODEC(NONE),
    fact UInt128 CODEC(NONE)
) ENGINE = ReplacingMergeTree ORDER BY (node, key) SETTINGS index_granularity = 256;

-- 18. Statements of consent: all that was ever said, by event; table 4 has what was said last. value is JSON text, NULL =
--     taken back. detail: JSON with the reason and the steward of a statement that came over the API, else ''.
CREATE TABLE consents (
    node    UInt128,
    purpose String,
    ver     UInt256, -- as in table 4
    value   Nullable(String),
    source  LowCardinality(String),
    channel LowCardinality(String),
    detail  String
) ENGINE = ReplacingMergeTree ORDER BY (node, purpose, ver) SETTINGS index_granularity = 256;

-- 19. What was told of orders, by order: a row per event that places, updates, refunds or cancels one. The views `orders`
--     and `order_movements` fold them. doc: the key of the fact that places it, or of the event, if it has no number.
--     known = 0: the event names no amount. fact, trust as in tables 3 and 16.
CREATE TABLE order_tellings (
    doc         UInt128,
    kind        LowCardinality(String), -- the event's type
    fact        UInt128 CODEC(ZSTD(1)),
    trust       UInt64,
    received_at DateTime64(3, 'UTC'),
    place       UInt64,
    key         UInt128 CODEC(NONE),
    node        UInt128 CODEC(NONE),
    time        DateTime64(3, 'UTC'),
    known       UInt8,
    amount      Decimal(38, 6),
    currency    LowCardinality(String)
) ENGINE = ReplacingMergeTree PRIMARY KEY doc ORDER BY (doc, kind, key) SETTINGS index_granularity = 256;

-- 20. Events by the account that they name. (node, time, part, off) finds the event in table 3. states = 1: it says
--     whether its person belongs to the account (table 21).
CREATE TABLE account_events (
    account     String,
    time        DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    part        UInt16,
    off         UInt64 CODEC(Delta, ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    place       UInt64 CODEC(ZSTD(1)),
    key         UInt128 CODEC(NONE),
    node        UInt128,
    type        LowCardinality(String),
    doc         UInt128 CODEC(ZSTD(1)), -- as in table 3
    states      UInt8
) ENGINE = ReplacingMergeTree ORDER BY (account, time, part, off) SETTINGS index_granularity = 512;

-- 21. What was said of a person in an account, by event: that they joined or left it (joined), their role, whom they
--     report to (a node). NULL: nothing was said; '' and 0: none any more. ver: as in table 4.
CREATE TABLE affiliations (
    node       UInt128,
    account    String,
    ver        UInt256,
    joined     UInt8,
    role       Nullable(String),
    reports_to Nullable(UInt128),
    source     LowCardinality(String),
    channel    LowCardinality(String)
) ENGINE = ReplacingMergeTree ORDER BY (node, account, ver) SETTINGS index_granularity = 256;

-- 22. Traits of accounts, last writer wins by ver, by whose event told them: node, 0 for nobody's. clear = 1: it is a
--     fact, which stays when that person is forgotten. value: as in table 4.
CREATE TABLE account_traits (
    account String,
    name    String,
    node    UInt128,
    value   Nullable(String),
    clear   UInt8,
    ver     UInt256,
    source  LowCardinality(String),
    channel LowCardinality(String)
) ENGINE = ReplacingMergeTree(ver) ORDER BY (account, name, node) SETTINGS index_granularity = 256;

-- 23. What was said of the account that an account is a branch of: all of it, since what closes a ring is refused by the
--     order of what was said. parent = '': it is no branch any more.
CREATE TABLE account_parents (
    account String,
    ver     UInt256, -- as in table 4
    parent  String
) ENGINE = ReplacingMergeTree ORDER BY (account, ver) SETTINGS index_granularity = 256;
