CREATE DATABASE IF NOT EXISTS default_g1 ON CLUSTER 'simorgh' COMMENT 'its mark';

CREATE TABLE IF NOT EXISTS default_g1.log_rows_local ON CLUSTER 'simorgh' (
    part UInt16,
    off  UInt64 CODEC(Delta, ZSTD(1)),
    gen  UInt32,
    dup  UInt8
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', gen) ORDER BY (part, off) SETTINGS index_granularity = 512;

CREATE TABLE IF NOT EXISTS default_g1.log_rows ON CLUSTER 'simorgh' AS default_g1.log_rows_local ENGINE = Distributed('simorgh', 'default_g1', 'log_rows_local', part);

CREATE TABLE IF NOT EXISTS default_g1.ids_local ON CLUSTER 'simorgh' (
    key  UInt128,
    part UInt16,
    off  UInt64 CODEC(ZSTD(1))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') PRIMARY KEY key ORDER BY (key, part, off) SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.ids ON CLUSTER 'simorgh' AS default_g1.ids_local ENGINE = Distributed('simorgh', 'default_g1', 'ids_local', cityHash64(key));

CREATE TABLE IF NOT EXISTS default_g1.events_local ON CLUSTER 'simorgh' (
    node        UInt128,
    time        DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    type        LowCardinality(String),
    part        UInt16,
    off         UInt64 CODEC(Delta, ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    place       UInt64 CODEC(ZSTD(1)),
    key         UInt128 CODEC(NONE),
    source      LowCardinality(String),
    fact        UInt128 CODEC(ZSTD(1)),
    amount      Decimal(38, 6) CODEC(ZSTD(1)),
    currency    LowCardinality(String),
    account     String CODEC(ZSTD(1)),
    payload     String CODEC(ZSTD(3))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, time, part, off)
  SETTINGS index_granularity = 128, min_compress_block_size = 4096, max_compress_block_size = 8192;

CREATE TABLE IF NOT EXISTS default_g1.events ON CLUSTER 'simorgh' AS default_g1.events_local ENGINE = Distributed('simorgh', 'default_g1', 'events_local', cityHash64(node));

CREATE TABLE IF NOT EXISTS default_g1.traits_local ON CLUSTER 'simorgh' (
    node    UInt128,
    kind    LowCardinality(String),
    name    String,
    value   Nullable(String),
    ver     UInt256,
    source  LowCardinality(String),
    channel LowCardinality(String)
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', ver) ORDER BY (node, kind, name) SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.traits ON CLUSTER 'simorgh' AS default_g1.traits_local ENGINE = Distributed('simorgh', 'default_g1', 'traits_local', cityHash64(node));

CREATE TABLE IF NOT EXISTS default_g1.identifiers_local ON CLUSTER 'simorgh' (
    node       UInt128,
    type       LowCardinality(String),
    value      String,
    first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_seen  SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
) ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, type, value) SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.identifiers ON CLUSTER 'simorgh' AS default_g1.identifiers_local ENGINE = Distributed('simorgh', 'default_g1', 'identifiers_local', cityHash64(node));

CREATE TABLE IF NOT EXISTS default_g1.identity_local ON CLUSTER 'simorgh' (
    node    UInt128,
    profile UInt128,
    ver     UInt64
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', ver) ORDER BY node SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.identity ON CLUSTER 'simorgh' AS default_g1.identity_local ENGINE = Distributed('simorgh', 'default_g1', 'identity_local', cityHash64(node));

CREATE TABLE IF NOT EXISTS default_g1.members_local ON CLUSTER 'simorgh' (
    profile UInt128,
    node    UInt128,
    live    UInt8,
    ver     UInt64
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', ver) ORDER BY (profile, node) SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.members ON CLUSTER 'simorgh' AS default_g1.members_local ENGINE = Distributed('simorgh', 'default_g1', 'members_local', cityHash64(profile));

CREATE TABLE IF NOT EXISTS default_g1.profile_rows_local ON CLUSTER 'simorgh' (
    profile    UInt128,
    ver        UInt64,
    live       UInt8,
    traits     String,
    provenance String,
    consent    String,
    identities Nested(type LowCardinality(String), value String,
        first_seen DateTime64(3, 'UTC'), last_seen DateTime64(3, 'UTC')),
    counts     Map(LowCardinality(String), UInt64),
    events     UInt64,
    orders     UInt64,
    revenue    Map(LowCardinality(String), Decimal(38, 6)),
    refunds    Map(LowCardinality(String), Decimal(38, 6)),
    first_seen DateTime64(3, 'UTC'),
    last_seen  DateTime64(3, 'UTC'),
    name       String,
    email      String,
    segments   Array(String),
    due        DateTime64(3, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', ver) ORDER BY profile SETTINGS index_granularity = 128;

CREATE TABLE IF NOT EXISTS default_g1.profile_rows ON CLUSTER 'simorgh' AS default_g1.profile_rows_local ENGINE = Distributed('simorgh', 'default_g1', 'profile_rows_local', cityHash64(profile));

CREATE TABLE IF NOT EXISTS default_g1.views_local ON CLUSTER 'simorgh' (
    profile  UInt128,
    ver      UInt64,
    live     UInt8,
    view     String,
    segments Array(String),
    entered  Array(DateTime64(3, 'UTC'))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', ver) ORDER BY profile SETTINGS index_granularity = 128;

CREATE TABLE IF NOT EXISTS default_g1.views ON CLUSTER 'simorgh' AS default_g1.views_local ENGINE = Distributed('simorgh', 'default_g1', 'views_local', cityHash64(profile));

CREATE TABLE IF NOT EXISTS default_g1.transitions_local ON CLUSTER 'simorgh' (
    profile    UInt128,
    segment    LowCardinality(String),
    off        UInt64,
    kind       LowCardinality(String),
    at         DateTime64(3, 'UTC'),
    cause      LowCardinality(String),
    entered_at DateTime64(3, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (profile, segment, off) SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.transitions ON CLUSTER 'simorgh' AS default_g1.transitions_local ENGINE = Distributed('simorgh', 'default_g1', 'transitions_local', cityHash64(profile));

CREATE TABLE IF NOT EXISTS default_g1.memberships_local ON CLUSTER 'simorgh' (
    segment    LowCardinality(String),
    profile    UInt128,
    member     UInt8,
    entered_at DateTime64(3, 'UTC'),
    ver        UInt64
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', ver) ORDER BY (segment, profile) SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.memberships ON CLUSTER 'simorgh' AS default_g1.memberships_local ENGINE = Distributed('simorgh', 'default_g1', 'memberships_local', cityHash64(profile));

CREATE TABLE IF NOT EXISTS default_g1.decisions_local ON CLUSTER 'simorgh' (
    node    UInt128,
    off     UInt64,
    n       UInt16,
    at      DateTime64(3, 'UTC'),
    outcome LowCardinality(String),
    detail  String
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, off, n) SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.decisions ON CLUSTER 'simorgh' AS default_g1.decisions_local ENGINE = Distributed('simorgh', 'default_g1', 'decisions_local', cityHash64(node));

CREATE TABLE IF NOT EXISTS default_g1.rejected_local ON CLUSTER 'simorgh' (
    source      LowCardinality(String),
    id          String,
    digest      UInt64,
    code        LowCardinality(String),
    reason      String,
    channel     LowCardinality(String),
    received_at DateTime64(3, 'UTC'),
    place       UInt64,
    payload     String CODEC(ZSTD(3)),
    webhook     String,
    resolved    UInt8,
    ver         UInt64
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', ver) ORDER BY (source, id, digest) SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.rejected ON CLUSTER 'simorgh' AS default_g1.rejected_local ENGINE = Distributed('simorgh', 'default_g1', 'rejected_local', cityHash64(id));

CREATE TABLE IF NOT EXISTS default_g1.deliveries_local ON CLUSTER 'simorgh' (
    trigger       LowCardinality(String),
    id            String,
    status        LowCardinality(String),
    attempts      UInt16,
    next_at       DateTime64(3, 'UTC'),
    created_at    DateTime64(3, 'UTC'),
    updated_at    DateTime64(3, 'UTC'),
    response_code UInt16,
    error         String,
    body          String CODEC(ZSTD(3)),
    ver           UInt64
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', ver) ORDER BY (trigger, id) SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.deliveries ON CLUSTER 'simorgh' AS default_g1.deliveries_local ENGINE = Distributed('simorgh', 'default_g1', 'deliveries_local', cityHash64(id));

CREATE TABLE IF NOT EXISTS default_g1.links_local ON CLUSTER 'simorgh' (
    link  UInt128,
    at    SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    alias SimpleAggregateFunction(max, UInt8)
) ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY link SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.links ON CLUSTER 'simorgh' AS default_g1.links_local ENGINE = Distributed('simorgh', 'default_g1', 'links_local', cityHash64(link));

CREATE TABLE IF NOT EXISTS default_g1.tellings_local ON CLUSTER 'simorgh' (
    fact        UInt128,
    trust       UInt64,
    received_at DateTime64(3, 'UTC'),
    place       UInt64,
    key         UInt128 CODEC(NONE),
    node        UInt128 CODEC(NONE),
    part        UInt16,
    off         UInt64
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') PRIMARY KEY fact ORDER BY (fact, trust, received_at, place, key, part, off)
  SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.tellings ON CLUSTER 'simorgh' AS default_g1.tellings_local ENGINE = Distributed('simorgh', 'default_g1', 'tellings_local', cityHash64(fact));

CREATE TABLE IF NOT EXISTS default_g1.retellings_local ON CLUSTER 'simorgh' (
    node UInt128,
    key  UInt128 CODEC(NONE),
    fact UInt128 CODEC(NONE)
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, key) SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.retellings ON CLUSTER 'simorgh' AS default_g1.retellings_local ENGINE = Distributed('simorgh', 'default_g1', 'retellings_local', cityHash64(node));

CREATE TABLE IF NOT EXISTS default_g1.consents_local ON CLUSTER 'simorgh' (
    node    UInt128,
    purpose String,
    ver     UInt256,
    value   Nullable(String),
    source  LowCardinality(String),
    channel LowCardinality(String),
    detail  String
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, purpose, ver) SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.consents ON CLUSTER 'simorgh' AS default_g1.consents_local ENGINE = Distributed('simorgh', 'default_g1', 'consents_local', cityHash64(node));

CREATE TABLE IF NOT EXISTS default_g1.account_events_local ON CLUSTER 'simorgh' (
    account     String,
    time        DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    part        UInt16,
    off         UInt64 CODEC(Delta, ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    place       UInt64 CODEC(ZSTD(1)),
    key         UInt128 CODEC(NONE),
    node        UInt128,
    type        LowCardinality(String),
    states      UInt8,
    amount      Decimal(38, 6) CODEC(ZSTD(1)),
    currency    LowCardinality(String)
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (account, time, part, off) SETTINGS index_granularity = 512;

CREATE TABLE IF NOT EXISTS default_g1.account_events ON CLUSTER 'simorgh' AS default_g1.account_events_local ENGINE = Distributed('simorgh', 'default_g1', 'account_events_local', cityHash64(account));

CREATE TABLE IF NOT EXISTS default_g1.affiliations_local ON CLUSTER 'simorgh' (
    node       UInt128,
    account    String,
    ver        UInt256,
    joined     UInt8,
    role       Nullable(String),
    reports_to Nullable(UInt128),
    source     LowCardinality(String),
    channel    LowCardinality(String)
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, account, ver) SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.affiliations ON CLUSTER 'simorgh' AS default_g1.affiliations_local ENGINE = Distributed('simorgh', 'default_g1', 'affiliations_local', cityHash64(node));

CREATE TABLE IF NOT EXISTS default_g1.account_traits_local ON CLUSTER 'simorgh' (
    account String,
    name    String,
    node    UInt128,
    value   Nullable(String),
    clear   UInt8,
    ver     UInt256,
    source  LowCardinality(String),
    channel LowCardinality(String)
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', ver) ORDER BY (account, name, node) SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.account_traits ON CLUSTER 'simorgh' AS default_g1.account_traits_local ENGINE = Distributed('simorgh', 'default_g1', 'account_traits_local', cityHash64(account));

CREATE TABLE IF NOT EXISTS default_g1.account_parents_local ON CLUSTER 'simorgh' (
    account String,
    ver     UInt256,
    parent  String
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (account, ver) SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.account_parents ON CLUSTER 'simorgh' AS default_g1.account_parents_local ENGINE = Distributed('simorgh', 'default_g1', 'account_parents_local', cityHash64(account));

CREATE OR REPLACE VIEW default_g1.profiles ON CLUSTER 'simorgh' AS SELECT * EXCEPT (ver, live, due) FROM default_g1.profile_rows FINAL WHERE live;

CREATE OR REPLACE VIEW default_g1.counted ON CLUSTER 'simorgh' AS SELECT * FROM default_g1.events WHERE key NOT IN (SELECT key FROM default_g1.retellings);

CREATE OR REPLACE VIEW default_g1.account_money ON CLUSTER 'simorgh' AS SELECT key, node, time, type, amount, currency, multiIf(named != '', named, length(arrayFilter(one -> arrayLast(step -> step.2 = one AND step.1 <= (bitShiftLeft(toUInt256(toUnixTimestamp64Milli(time)), 212) + bitShiftLeft(toUInt256(toUnixTimestamp64Milli(received_at)), 168) + bitShiftLeft(toUInt256(place), 128) + toUInt256(key)), steps).3 = 1, arrayDistinct(steps.2))) = 1, arrayElement(arrayFilter(one -> arrayLast(step -> step.2 = one AND step.1 <= (bitShiftLeft(toUInt256(toUnixTimestamp64Milli(time)), 212) + bitShiftLeft(toUInt256(toUnixTimestamp64Milli(received_at)), 168) + bitShiftLeft(toUInt256(place), 128) + toUInt256(key)), steps).3 = 1, arrayDistinct(steps.2)), 1), 'unassigned') AS account FROM (SELECT key, node, time, received_at, place, type, amount, currency, account AS named FROM default_g1.events WHERE currency != '' AND key NOT IN (SELECT key FROM default_g1.retellings) LIMIT 1 BY key) AS happened LEFT JOIN (SELECT node, steps FROM (SELECT node, argMax(profile, ver) AS profile FROM default_g1.identity GROUP BY node HAVING profile != 0) AS known INNER JOIN (SELECT profile, arraySort(groupArray((ver, account, joined))) AS steps FROM (SELECT profile, account, ver, joined, lagInFrame(joined, 1, 0) OVER (PARTITION BY profile, account ORDER BY ver ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before FROM (SELECT node, account, ver, joined FROM default_g1.affiliations WHERE 1) AS said INNER JOIN (SELECT node, argMax(profile, ver) AS profile FROM default_g1.identity GROUP BY node HAVING profile != 0) AS people USING node) WHERE joined != before GROUP BY profile) AS said USING profile) AS people USING node;

DROP DATABASE IF EXISTS default_g1 ON CLUSTER 'simorgh' SYNC;
