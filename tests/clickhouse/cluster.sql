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
    doc         UInt128 CODEC(ZSTD(1)),
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

CREATE TABLE IF NOT EXISTS default_g1.identity_log_local ON CLUSTER 'simorgh' (
    node    UInt128,
    profile UInt128,
    ver     UInt64
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, ver) SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS default_g1.identity_log ON CLUSTER 'simorgh' AS default_g1.identity_log_local ENGINE = Distributed('simorgh', 'default_g1', 'identity_log_local', cityHash64(node));

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
    orders_placed UInt64,
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

CREATE TABLE IF NOT EXISTS default_g1.order_tellings_local ON CLUSTER 'simorgh' (
    doc         UInt128,
    kind        LowCardinality(String),
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
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') PRIMARY KEY doc ORDER BY (doc, kind, key) SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS default_g1.order_tellings ON CLUSTER 'simorgh' AS default_g1.order_tellings_local ENGINE = Distributed('simorgh', 'default_g1', 'order_tellings_local', cityHash64(doc));

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
    doc         UInt128 CODEC(ZSTD(1)),
    states      UInt8
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

CREATE TABLE IF NOT EXISTS default_g1.order_lines_local ON CLUSTER 'simorgh' (
    node UInt128,
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    part UInt16,
    off UInt64 CODEC(Delta, ZSTD(1)),
    n UInt32,
    type LowCardinality(String),
    source LowCardinality(String),
    channel LowCardinality(String),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    place UInt64 CODEC(ZSTD(1)),
    key UInt128 CODEC(NONE),
    doc UInt128 CODEC(ZSTD(1)),
    product String CODEC(ZSTD(1)),
    name String CODEC(ZSTD(1)),
    category String CODEC(ZSTD(1)),
    brand String CODEC(ZSTD(1)),
    variant String CODEC(ZSTD(1)),
    coupon String CODEC(ZSTD(1)),
    quantity Nullable(Decimal(38, 6)) CODEC(ZSTD(1)),
    price Nullable(Decimal(38, 6)) CODEC(ZSTD(1)),
    amount Nullable(Decimal(38, 6)) CODEC(ZSTD(1)),
    discount Nullable(Decimal(38, 6)) CODEC(ZSTD(1)),
    currency String CODEC(ZSTD(1)),
    store String CODEC(ZSTD(1))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, time, part, off, n)
  SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS default_g1.order_lines ON CLUSTER 'simorgh' AS default_g1.order_lines_local ENGINE = Distributed('simorgh', 'default_g1', 'order_lines_local', cityHash64(node));

CREATE TABLE IF NOT EXISTS default_g1.interactions_local ON CLUSTER 'simorgh' (
    node UInt128,
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    part UInt16,
    off UInt64 CODEC(Delta, ZSTD(1)),
    n UInt32,
    type LowCardinality(String),
    source LowCardinality(String),
    channel LowCardinality(String),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    place UInt64 CODEC(ZSTD(1)),
    key UInt128 CODEC(NONE),
    doc UInt128 CODEC(ZSTD(1)),
    contact String CODEC(ZSTD(1)),
    direction String CODEC(ZSTD(1)),
    agent String CODEC(ZSTD(1)),
    queue String CODEC(ZSTD(1)),
    outcome String CODEC(ZSTD(1)),
    campaign String CODEC(ZSTD(1)),
    wait_s Nullable(Decimal(38, 6)) CODEC(ZSTD(1)),
    talk_s Nullable(Decimal(38, 6)) CODEC(ZSTD(1)),
    cost Nullable(Decimal(38, 6)) CODEC(ZSTD(1)),
    currency String CODEC(ZSTD(1))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, time, part, off, n)
  SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS default_g1.interactions ON CLUSTER 'simorgh' AS default_g1.interactions_local ENGINE = Distributed('simorgh', 'default_g1', 'interactions_local', cityHash64(node));

CREATE TABLE IF NOT EXISTS default_g1.ticket_steps_local ON CLUSTER 'simorgh' (
    node UInt128,
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    part UInt16,
    off UInt64 CODEC(Delta, ZSTD(1)),
    n UInt32,
    type LowCardinality(String),
    source LowCardinality(String),
    channel LowCardinality(String),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    place UInt64 CODEC(ZSTD(1)),
    key UInt128 CODEC(NONE),
    doc UInt128 CODEC(ZSTD(1)),
    id String CODEC(ZSTD(1)),
    kind String CODEC(ZSTD(1)),
    topic String CODEC(ZSTD(1)),
    through String CODEC(ZSTD(1)),
    agent String CODEC(ZSTD(1)),
    team String CODEC(ZSTD(1)),
    priority String CODEC(ZSTD(1)),
    sla_due Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    minutes Nullable(Decimal(38, 6)) CODEC(ZSTD(1))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, time, part, off, n)
  SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS default_g1.ticket_steps ON CLUSTER 'simorgh' AS default_g1.ticket_steps_local ENGINE = Distributed('simorgh', 'default_g1', 'ticket_steps_local', cityHash64(node));

CREATE TABLE IF NOT EXISTS default_g1.lead_steps_local ON CLUSTER 'simorgh' (
    node UInt128,
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    part UInt16,
    off UInt64 CODEC(Delta, ZSTD(1)),
    n UInt32,
    type LowCardinality(String),
    source LowCardinality(String),
    channel LowCardinality(String),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    place UInt64 CODEC(ZSTD(1)),
    key UInt128 CODEC(NONE),
    doc UInt128 CODEC(ZSTD(1)),
    id String CODEC(ZSTD(1)),
    origin String CODEC(ZSTD(1)),
    campaign String CODEC(ZSTD(1)),
    owner String CODEC(ZSTD(1)),
    reason String CODEC(ZSTD(1)),
    value Nullable(Decimal(38, 6)) CODEC(ZSTD(1)),
    currency String CODEC(ZSTD(1))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, time, part, off, n)
  SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS default_g1.lead_steps ON CLUSTER 'simorgh' AS default_g1.lead_steps_local ENGINE = Distributed('simorgh', 'default_g1', 'lead_steps_local', cityHash64(node));

CREATE TABLE IF NOT EXISTS default_g1.deal_steps_local ON CLUSTER 'simorgh' (
    node UInt128,
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    part UInt16,
    off UInt64 CODEC(Delta, ZSTD(1)),
    n UInt32,
    type LowCardinality(String),
    source LowCardinality(String),
    channel LowCardinality(String),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    place UInt64 CODEC(ZSTD(1)),
    key UInt128 CODEC(NONE),
    doc UInt128 CODEC(ZSTD(1)),
    id String CODEC(ZSTD(1)),
    account String CODEC(ZSTD(1)),
    pipeline String CODEC(ZSTD(1)),
    stage String CODEC(ZSTD(1)),
    amount Nullable(Decimal(38, 6)) CODEC(ZSTD(1)),
    currency String CODEC(ZSTD(1)),
    probability Nullable(Decimal(38, 6)) CODEC(ZSTD(1)),
    close_date Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    owner String CODEC(ZSTD(1)),
    reason String CODEC(ZSTD(1)),
    competitor String CODEC(ZSTD(1)),
    region String CODEC(ZSTD(1))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, time, part, off, n)
  SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS default_g1.deal_steps ON CLUSTER 'simorgh' AS default_g1.deal_steps_local ENGINE = Distributed('simorgh', 'default_g1', 'deal_steps_local', cityHash64(node));

CREATE TABLE IF NOT EXISTS default_g1.invoice_steps_local ON CLUSTER 'simorgh' (
    node UInt128,
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    part UInt16,
    off UInt64 CODEC(Delta, ZSTD(1)),
    n UInt32,
    type LowCardinality(String),
    source LowCardinality(String),
    channel LowCardinality(String),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    place UInt64 CODEC(ZSTD(1)),
    key UInt128 CODEC(NONE),
    doc UInt128 CODEC(ZSTD(1)),
    id String CODEC(ZSTD(1)),
    account String CODEC(ZSTD(1)),
    amount Nullable(Decimal(38, 6)) CODEC(ZSTD(1)),
    currency String CODEC(ZSTD(1)),
    due_at Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    method String CODEC(ZSTD(1))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, time, part, off, n)
  SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS default_g1.invoice_steps ON CLUSTER 'simorgh' AS default_g1.invoice_steps_local ENGINE = Distributed('simorgh', 'default_g1', 'invoice_steps_local', cityHash64(node));

CREATE TABLE IF NOT EXISTS default_g1.touches_local ON CLUSTER 'simorgh' (
    node UInt128,
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    part UInt16,
    off UInt64 CODEC(Delta, ZSTD(1)),
    n UInt32,
    type LowCardinality(String),
    source LowCardinality(String),
    channel LowCardinality(String),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    place UInt64 CODEC(ZSTD(1)),
    key UInt128 CODEC(NONE),
    doc UInt128 CODEC(ZSTD(1)),
    campaign String CODEC(ZSTD(1)),
    utm_campaign String CODEC(ZSTD(1)),
    utm_source String CODEC(ZSTD(1)),
    utm_medium String CODEC(ZSTD(1)),
    utm_term String CODEC(ZSTD(1)),
    utm_content String CODEC(ZSTD(1)),
    cost Nullable(Decimal(38, 6)) CODEC(ZSTD(1)),
    currency String CODEC(ZSTD(1))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, time, part, off, n)
  SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS default_g1.touches ON CLUSTER 'simorgh' AS default_g1.touches_local ENGINE = Distributed('simorgh', 'default_g1', 'touches_local', cityHash64(node));

CREATE TABLE IF NOT EXISTS default_g1.answers_local ON CLUSTER 'simorgh' (
    node UInt128,
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    part UInt16,
    off UInt64 CODEC(Delta, ZSTD(1)),
    n UInt32,
    type LowCardinality(String),
    source LowCardinality(String),
    channel LowCardinality(String),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    place UInt64 CODEC(ZSTD(1)),
    key UInt128 CODEC(NONE),
    doc UInt128 CODEC(ZSTD(1)),
    survey String CODEC(ZSTD(1)),
    response String CODEC(ZSTD(1)),
    kind String CODEC(ZSTD(1)),
    about String CODEC(ZSTD(1)),
    score Nullable(Decimal(38, 6)) CODEC(ZSTD(1)),
    scale_min Nullable(Decimal(38, 6)) CODEC(ZSTD(1)),
    scale Nullable(Decimal(38, 6)) CODEC(ZSTD(1))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, time, part, off, n)
  SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS default_g1.answers ON CLUSTER 'simorgh' AS default_g1.answers_local ENGINE = Distributed('simorgh', 'default_g1', 'answers_local', cityHash64(node));

CREATE TABLE IF NOT EXISTS default_g1.points_local ON CLUSTER 'simorgh' (
    node UInt128,
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    part UInt16,
    off UInt64 CODEC(Delta, ZSTD(1)),
    n UInt32,
    type LowCardinality(String),
    source LowCardinality(String),
    channel LowCardinality(String),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    place UInt64 CODEC(ZSTD(1)),
    key UInt128 CODEC(NONE),
    doc UInt128 CODEC(ZSTD(1)),
    programme String CODEC(ZSTD(1)),
    points Nullable(Decimal(38, 6)) CODEC(ZSTD(1)),
    lot String CODEC(ZSTD(1)),
    expires_at Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    reason String CODEC(ZSTD(1))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, time, part, off, n)
  SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS default_g1.points ON CLUSTER 'simorgh' AS default_g1.points_local ENGINE = Distributed('simorgh', 'default_g1', 'points_local', cityHash64(node));

CREATE TABLE IF NOT EXISTS default_g1.catalogue_rows_local ON CLUSTER 'simorgh' (
    node UInt128,
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    part UInt16,
    off UInt64 CODEC(Delta, ZSTD(1)),
    n UInt32,
    type LowCardinality(String),
    source LowCardinality(String),
    channel LowCardinality(String),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    place UInt64 CODEC(ZSTD(1)),
    key UInt128 CODEC(NONE),
    doc UInt128 CODEC(ZSTD(1)),
    sku String CODEC(ZSTD(1)),
    valid_from Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    name String CODEC(ZSTD(1)),
    category String CODEC(ZSTD(1)),
    brand String CODEC(ZSTD(1)),
    price Nullable(Decimal(38, 6)) CODEC(ZSTD(1)),
    cost Nullable(Decimal(38, 6)) CODEC(ZSTD(1)),
    currency String CODEC(ZSTD(1)),
    stock Nullable(Decimal(38, 6)) CODEC(ZSTD(1))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, time, part, off, n)
  SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS default_g1.catalogue_rows ON CLUSTER 'simorgh' AS default_g1.catalogue_rows_local ENGINE = Distributed('simorgh', 'default_g1', 'catalogue_rows_local', cityHash64(node));

CREATE OR REPLACE VIEW default_g1.profiles ON CLUSTER 'simorgh' AS SELECT * EXCEPT (ver, live, due) FROM default_g1.profile_rows FINAL WHERE live;

CREATE OR REPLACE VIEW default_g1.counted ON CLUSTER 'simorgh' AS SELECT * FROM default_g1.events WHERE key NOT IN (SELECT key FROM default_g1.retellings);

CREATE OR REPLACE VIEW default_g1.orders ON CLUSTER 'simorgh' AS SELECT doc, first.1 AS node, first.2 AS time, first.3 AS key, placed, cancelled, currency,
    amount, arraySort(arrayConcat(parts, if(whole AND currency != '' AND rest > 0,
        [(whole_at, currency, toDecimal128(rest, 6))], []))) AS refunds
    FROM (SELECT *, arrayFilter(one -> one.2 != '',
    arrayMap(one -> (one.1, if(one.2 = '', currency, one.2), one.3), given)) AS parts,
    toDecimal256(amount, 6) - arraySum(one -> if(one.2 = currency, toDecimal256(one.3, 6), toDecimal256(0, 6)), parts)
        AS rest
    FROM (SELECT doc,
    countIf(kind = 'order.completed') > 0 AS placed,
    countIf(kind = 'order.cancelled') > 0 AS cancelled,
    if(placed, argMinIf((t.5, t.6, t.4), (t.1, t.2, t.3, t.4), kind = 'order.completed'), argMin((t.5, t.6, t.4), (t.1, t.2, t.3, t.4))) AS first,
    argMaxIf(t.7, (t.6, t.2, t.3, t.4), kind IN ('order.completed', 'order.updated') AND t.9) AS amount,
    argMaxIf(t.8, (t.6, t.2, t.3, t.4), kind IN ('order.completed', 'order.updated') AND t.9 AND t.8 != '') AS currency,
    groupArrayIf((t.6, t.8, t.7), kind = 'order.refunded' AND t.9) AS given,
    countIf(kind = 'order.refunded' AND NOT t.9) > 0 AS whole,
    minIf(t.6, kind = 'order.refunded' AND NOT t.9) AS whole_at
    FROM (SELECT doc, kind, if(fact = 0, key, fact) AS told,
    argMin((trust, received_at, place, key, node, time, amount, currency, known), (trust, received_at, place, key)) AS t
    FROM default_g1.order_tellings WHERE 1 GROUP BY doc, kind, told) GROUP BY doc));

CREATE OR REPLACE VIEW default_g1.counted_lines ON CLUSTER 'simorgh' AS SELECT * FROM default_g1.order_lines FINAL WHERE key NOT IN (SELECT key FROM default_g1.retellings);

CREATE OR REPLACE VIEW default_g1.order_movements ON CLUSTER 'simorgh' AS SELECT doc, node, key, move.1 AS time, move.2 AS kind, NOT cancelled AS counts, move.3 AS currency, move.4 AS amount FROM (SELECT doc, node, key, cancelled, arrayJoin(arrayConcat(if(placed, [(time, 'order', currency, amount)], []), arrayMap(one -> (one.1, 'refund', one.2, one.3), refunds))) AS move FROM (SELECT doc, first.1 AS node, first.2 AS time, first.3 AS key, placed, cancelled, currency,
    amount, arraySort(arrayConcat(parts, if(whole AND currency != '' AND rest > 0,
        [(whole_at, currency, toDecimal128(rest, 6))], []))) AS refunds
    FROM (SELECT *, arrayFilter(one -> one.2 != '',
    arrayMap(one -> (one.1, if(one.2 = '', currency, one.2), one.3), given)) AS parts,
    toDecimal256(amount, 6) - arraySum(one -> if(one.2 = currency, toDecimal256(one.3, 6), toDecimal256(0, 6)), parts)
        AS rest
    FROM (SELECT doc,
    countIf(kind = 'order.completed') > 0 AS placed,
    countIf(kind = 'order.cancelled') > 0 AS cancelled,
    if(placed, argMinIf((t.5, t.6, t.4), (t.1, t.2, t.3, t.4), kind = 'order.completed'), argMin((t.5, t.6, t.4), (t.1, t.2, t.3, t.4))) AS first,
    argMaxIf(t.7, (t.6, t.2, t.3, t.4), kind IN ('order.completed', 'order.updated') AND t.9) AS amount,
    argMaxIf(t.8, (t.6, t.2, t.3, t.4), kind IN ('order.completed', 'order.updated') AND t.9 AND t.8 != '') AS currency,
    groupArrayIf((t.6, t.8, t.7), kind = 'order.refunded' AND t.9) AS given,
    countIf(kind = 'order.refunded' AND NOT t.9) > 0 AS whole,
    minIf(t.6, kind = 'order.refunded' AND NOT t.9) AS whole_at
    FROM (SELECT doc, kind, if(fact = 0, key, fact) AS told,
    argMin((trust, received_at, place, key, node, time, amount, currency, known), (trust, received_at, place, key)) AS t
    FROM default_g1.order_tellings WHERE 1 GROUP BY doc, kind, told) GROUP BY doc))));

CREATE OR REPLACE VIEW default_g1.tickets ON CLUSTER 'simorgh' AS SELECT profile, id, argMaxIf(kind, said, kind != '') AS kind, argMaxIf(topic, said, topic != '') AS topic, argMaxIf(through, said, through != '') AS through, argMaxIf(agent, said, agent != '') AS agent, argMaxIf(team, said, team != '') AS team, argMaxIf(priority, said, priority != '') AS priority, argMaxIf(sla_due, said, isNotNull(sla_due)) AS sla_due, argMaxIf(minutes, said, isNotNull(minutes)) AS minutes, min(time) AS first_at, max(time) AS last_at, argMax(type, said) AS state, arrayMap(one -> (one.1.1, one.2), arraySort(groupArray((said, type)))) AS steps FROM (SELECT *, (time, received_at, place, key) AS said FROM default_g1.ticket_steps FINAL WHERE id != '' AND key NOT IN (SELECT key FROM default_g1.retellings)) AS told LEFT JOIN (SELECT node, argMax(profile, ver) AS profile FROM default_g1.identity GROUP BY node) AS who ON told.node = who.node GROUP BY profile, id;

CREATE OR REPLACE VIEW default_g1.leads ON CLUSTER 'simorgh' AS SELECT profile, id, argMaxIf(origin, said, origin != '') AS origin, argMaxIf(campaign, said, campaign != '') AS campaign, argMaxIf(owner, said, owner != '') AS owner, argMaxIf(reason, said, reason != '') AS reason, argMaxIf(value, said, isNotNull(value)) AS value, argMaxIf(currency, said, currency != '') AS currency, min(time) AS first_at, max(time) AS last_at, argMax(type, said) AS state, arrayMap(one -> (one.1.1, one.2), arraySort(groupArray((said, type)))) AS steps FROM (SELECT *, (time, received_at, place, key) AS said FROM default_g1.lead_steps FINAL WHERE id != '' AND key NOT IN (SELECT key FROM default_g1.retellings)) AS told LEFT JOIN (SELECT node, argMax(profile, ver) AS profile FROM default_g1.identity GROUP BY node) AS who ON told.node = who.node GROUP BY profile, id;

CREATE OR REPLACE VIEW default_g1.deals ON CLUSTER 'simorgh' AS SELECT profile, id, argMaxIf(account, said, account != '') AS account, argMaxIf(pipeline, said, pipeline != '') AS pipeline, argMaxIf(stage, said, stage != '') AS stage, argMaxIf(amount, said, isNotNull(amount)) AS amount, argMaxIf(currency, said, currency != '') AS currency, argMaxIf(probability, said, isNotNull(probability)) AS probability, argMaxIf(close_date, said, isNotNull(close_date)) AS close_date, argMaxIf(owner, said, owner != '') AS owner, argMaxIf(reason, said, reason != '') AS reason, argMaxIf(competitor, said, competitor != '') AS competitor, argMaxIf(region, said, region != '') AS region, min(time) AS first_at, max(time) AS last_at, argMax(type, said) AS state, arrayMap(one -> (one.1.1, one.2), arraySort(groupArray((said, type)))) AS steps FROM (SELECT *, (time, received_at, place, key) AS said FROM default_g1.deal_steps FINAL WHERE id != '' AND key NOT IN (SELECT key FROM default_g1.retellings)) AS told LEFT JOIN (SELECT node, argMax(profile, ver) AS profile FROM default_g1.identity GROUP BY node) AS who ON told.node = who.node GROUP BY profile, id;

CREATE OR REPLACE VIEW default_g1.invoices ON CLUSTER 'simorgh' AS SELECT profile, id, argMaxIf(account, said, account != '') AS account, argMaxIf(amount, said, isNotNull(amount)) AS amount, argMaxIf(currency, said, currency != '') AS currency, argMaxIf(due_at, said, isNotNull(due_at)) AS due_at, argMaxIf(method, said, method != '') AS method, min(time) AS first_at, max(time) AS last_at, argMax(type, said) AS state, arrayMap(one -> (one.1.1, one.2), arraySort(groupArray((said, type)))) AS steps FROM (SELECT *, (time, received_at, place, key) AS said FROM default_g1.invoice_steps FINAL WHERE id != '' AND key NOT IN (SELECT key FROM default_g1.retellings)) AS told LEFT JOIN (SELECT node, argMax(profile, ver) AS profile FROM default_g1.identity GROUP BY node) AS who ON told.node = who.node GROUP BY profile, id;

CREATE OR REPLACE VIEW default_g1.catalogue ON CLUSTER 'simorgh' AS SELECT sku, valid_from, ifNull(last_value(nullIf(name, '')) OVER (PARTITION BY sku ORDER BY valid_from ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), '') AS name, ifNull(last_value(nullIf(category, '')) OVER (PARTITION BY sku ORDER BY valid_from ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), '') AS category, ifNull(last_value(nullIf(brand, '')) OVER (PARTITION BY sku ORDER BY valid_from ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), '') AS brand, last_value(price) OVER (PARTITION BY sku ORDER BY valid_from ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS price, last_value(cost) OVER (PARTITION BY sku ORDER BY valid_from ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS cost, ifNull(last_value(nullIf(currency, '')) OVER (PARTITION BY sku ORDER BY valid_from ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), '') AS currency, last_value(stock) OVER (PARTITION BY sku ORDER BY valid_from ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS stock FROM (SELECT sku, since AS valid_from, argMaxIf(name, said, name != '') AS name, argMaxIf(category, said, category != '') AS category, argMaxIf(brand, said, brand != '') AS brand, argMaxIf(price, said, isNotNull(price)) AS price, argMaxIf(cost, said, isNotNull(cost)) AS cost, argMaxIf(currency, said, currency != '') AS currency, argMaxIf(stock, said, isNotNull(stock)) AS stock FROM (SELECT * EXCEPT valid_from, ifNull(valid_from, time) AS since, (time, received_at, place, key) AS said FROM default_g1.catalogue_rows FINAL WHERE key NOT IN (SELECT key FROM default_g1.retellings)) GROUP BY sku, since);

CREATE OR REPLACE VIEW default_g1.calendar ON CLUSTER 'simorgh' AS SELECT day, toYear(day) AS year, toQuarter(day) AS quarter, toMonth(day) AS month, toDayOfMonth(day) AS of_month, toISOYear(day) AS iso_year, toISOWeek(day) AS iso_week, toDayOfWeek(day) AS weekday, toUInt16(place + 1278 - 1) AS jalali_year, toUInt8(if(passed < 186, intDiv(passed, 31), 6 + intDiv(passed - 186, 30)) + 1) AS jalali_month, toUInt8(if(passed < 186, passed % 31, (passed - 186) % 30) + 1) AS jalali_of_month, toUInt8(intDiv(jalali_month - 1, 3) + 1) AS jalali_quarter, toUInt16(passed + 1) AS jalali_of_year, toUInt8((weekday + 1) % 7 + 1) AS jalali_weekday FROM (SELECT toDate32(number + -25567) AS day, number + -25567 AS at, [-25853, -25488, -25123, -24757, -24392, -24027, -23662, -23296, -22931, -22566, -22201, -21835, -21470, -21105, -20740, -20374, -20009, -19644, -19279, -18913, -18548, -18183, -17818, -17452, -17087, -16722, -16357, -15991, -15626, -15261, -14896, -14531, -14165, -13800, -13435, -13070, -12704, -12339, -11974, -11609, -11243, -10878, -10513, -10148, -9782, -9417, -9052, -8687, -8321, -7956, -7591, -7226, -6860, -6495, -6130, -5765, -5399, -5034, -4669, -4304, -3938, -3573, -3208, -2843, -2478, -2112, -1747, -1382, -1017, -651, -286, 79, 444, 810, 1175, 1540, 1905, 2271, 2636, 3001, 3366, 3732, 4097, 4462, 4827, 5193, 5558, 5923, 6288, 6654, 7019, 7384, 7749, 8115, 8480, 8845, 9210, 9575, 9941, 10306, 10671, 11036, 11402, 11767, 12132, 12497, 12863, 13228, 13593, 13958, 14324, 14689, 15054, 15419, 15785, 16150, 16515, 16880, 17246, 17611, 17976, 18341, 18707, 19072, 19437, 19802, 20168, 20533, 20898, 21263, 21628, 21994, 22359, 22724, 23089, 23455, 23820, 24185, 24550, 24916, 25281, 25646, 26011, 26377, 26742, 27107, 27472, 27838, 28203, 28568, 28933, 29299, 29664, 30029, 30394, 30760, 31125, 31490, 31855, 32221, 32586, 32951, 33316, 33681, 34047, 34412, 34777, 35142, 35508, 35873, 36238, 36603, 36969, 37334, 37699, 38064, 38430, 38795, 39160, 39525, 39891, 40256, 40621, 40986, 41352, 41717, 42082, 42447, 42813, 43178, 43543, 43908, 44274, 44639, 45004, 45369, 45734, 46100, 46465, 46830, 47195, 47561] AS firsts, arrayLastIndex(one -> one <= at, firsts) AS place, at - firsts[place] AS passed FROM numbers(73414));

CREATE OR REPLACE VIEW default_g1.account_money ON CLUSTER 'simorgh' AS SELECT * FROM (SELECT doc, node, key, move.1 AS time, move.2 AS kind, NOT cancelled AS counts, move.3 AS currency, move.4 AS amount FROM (SELECT doc, node, key, cancelled, arrayJoin(arrayConcat(if(placed, [(time, 'order', currency, amount)], []), arrayMap(one -> (one.1, 'refund', one.2, one.3), refunds))) AS move FROM (SELECT doc, first.1 AS node, first.2 AS time, first.3 AS key, placed, cancelled, currency,
    amount, arraySort(arrayConcat(parts, if(whole AND currency != '' AND rest > 0,
        [(whole_at, currency, toDecimal128(rest, 6))], []))) AS refunds
    FROM (SELECT *, arrayFilter(one -> one.2 != '',
    arrayMap(one -> (one.1, if(one.2 = '', currency, one.2), one.3), given)) AS parts,
    toDecimal256(amount, 6) - arraySum(one -> if(one.2 = currency, toDecimal256(one.3, 6), toDecimal256(0, 6)), parts)
        AS rest
    FROM (SELECT doc,
    countIf(kind = 'order.completed') > 0 AS placed,
    countIf(kind = 'order.cancelled') > 0 AS cancelled,
    if(placed, argMinIf((t.5, t.6, t.4), (t.1, t.2, t.3, t.4), kind = 'order.completed'), argMin((t.5, t.6, t.4), (t.1, t.2, t.3, t.4))) AS first,
    argMaxIf(t.7, (t.6, t.2, t.3, t.4), kind IN ('order.completed', 'order.updated') AND t.9) AS amount,
    argMaxIf(t.8, (t.6, t.2, t.3, t.4), kind IN ('order.completed', 'order.updated') AND t.9 AND t.8 != '') AS currency,
    groupArrayIf((t.6, t.8, t.7), kind = 'order.refunded' AND t.9) AS given,
    countIf(kind = 'order.refunded' AND NOT t.9) > 0 AS whole,
    minIf(t.6, kind = 'order.refunded' AND NOT t.9) AS whole_at
    FROM (SELECT doc, kind, if(fact = 0, key, fact) AS told,
    argMin((trust, received_at, place, key, node, time, amount, currency, known), (trust, received_at, place, key)) AS t
    FROM default_g1.order_tellings WHERE 1 GROUP BY doc, kind, told) GROUP BY doc))))) AS moved INNER JOIN (SELECT key, multiIf(named != '', named, length(arrayFilter(one -> arrayLast(step -> step.2 = one AND step.1 <= (bitShiftLeft(toUInt256(toUnixTimestamp64Milli(time)), 212) + bitShiftLeft(toUInt256(toUnixTimestamp64Milli(received_at)), 168) + bitShiftLeft(toUInt256(place), 128) + toUInt256(key)), steps).3 = 1, arrayDistinct(steps.2))) = 1, arrayElement(arrayFilter(one -> arrayLast(step -> step.2 = one AND step.1 <= (bitShiftLeft(toUInt256(toUnixTimestamp64Milli(time)), 212) + bitShiftLeft(toUInt256(toUnixTimestamp64Milli(received_at)), 168) + bitShiftLeft(toUInt256(place), 128) + toUInt256(key)), steps).3 = 1, arrayDistinct(steps.2)), 1), 'unassigned') AS account FROM (SELECT key, node, time, received_at, place, account AS named FROM default_g1.events WHERE doc != 0 LIMIT 1 BY key) AS happened LEFT JOIN (SELECT node, steps FROM (SELECT node, argMax(profile, ver) AS profile FROM default_g1.identity GROUP BY node HAVING profile != 0) AS known INNER JOIN (SELECT profile, arraySort(groupArray((ver, account, joined))) AS steps FROM (SELECT profile, account, ver, joined, lagInFrame(joined, 1, 0) OVER (PARTITION BY profile, account ORDER BY ver ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before FROM (SELECT node, account, ver, joined FROM default_g1.affiliations WHERE 1) AS said INNER JOIN (SELECT node, argMax(profile, ver) AS profile FROM default_g1.identity GROUP BY node HAVING profile != 0) AS people USING node) WHERE joined != before GROUP BY profile) AS said USING profile) AS people USING node) AS own USING key;

DROP DATABASE IF EXISTS default_g1 ON CLUSTER 'simorgh' SYNC;
