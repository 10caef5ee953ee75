// @segment/analytics-node sends one call of each kind. Arguments: base URL, write key.
import { createRequire } from 'node:module'

const { Analytics } = createRequire(process.env.CLIENTS + '/')('@segment/analytics-node')
const [, , host, writeKey] = process.argv
const errors = []
const client = new Analytics({ writeKey, host, flushAt: 15, flushInterval: 300, maxRetries: 4 })
client.on('error', (error) => errors.push(`${error.code}: ${error.reason}`))

client.identify({ userId: 'user-1', anonymousId: 'anon-1', traits: { email: 'Ada@Example.com', city: 'اصفهان' } })
client.track({
  userId: 'user-1',
  event: 'Order Completed',
  properties: { order_id: 'o-1', total: 42.5, currency: 'EUR' },
  timestamp: new Date('2024-01-02T03:04:05Z'),
})
client.page({ userId: 'user-1', category: 'Docs', name: 'Home', properties: { url: 'https://example.com/' } })
client.screen({ userId: 'user-1', name: 'Settings', properties: { dark: true } })
client.group({ userId: 'user-1', groupId: 'org-9', traits: { name: 'ACME' } })
client.alias({ previousId: 'anon-0', userId: 'user-1' })
client.track({ anonymousId: 'anon-2', event: 'Anonymous Event', properties: { k: 1 } })
await client.closeAndFlush({ timeout: 20000 })
if (errors.length) {
  console.error(errors.join('\n'))
  process.exit(1)
}
