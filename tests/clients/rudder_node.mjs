// @rudderstack/rudder-sdk-node sends one call of each kind. Arguments: base URL, write key.
import { createRequire } from 'node:module'

const Analytics = createRequire(process.env.CLIENTS + '/')('@rudderstack/rudder-sdk-node')
const [, , dataPlaneUrl, writeKey] = process.argv
const client = new Analytics(writeKey, { dataPlaneUrl, flushAt: 20, flushInterval: 300, retryCount: 4 })
const sent = []
const done = (call) => sent.push(new Promise((resolve, reject) => call((error) => (error ? reject(error) : resolve()))))

done((then) =>
  client.identify(
    { userId: 'user-1', anonymousId: 'anon-1', traits: { email: 'Ada@Example.com', city: 'اصفهان' } },
    then,
  ),
)
done((then) =>
  client.track(
    {
      userId: 'user-1',
      event: 'Order Completed',
      properties: { order_id: 'o-1', total: 42.5, currency: 'EUR' },
      timestamp: new Date('2024-01-02T03:04:05Z'),
    },
    then,
  ),
)
done((then) =>
  client.page({ userId: 'user-1', category: 'Docs', name: 'Home', properties: { url: 'https://example.com/' } }, then),
)
done((then) => client.screen({ userId: 'user-1', name: 'Settings', properties: { dark: true } }, then))
done((then) => client.group({ userId: 'user-1', groupId: 'org-9', traits: { name: 'ACME' } }, then))
done((then) => client.alias({ previousId: 'anon-0', userId: 'user-1' }, then))
done((then) => client.track({ anonymousId: 'anon-2', event: 'Anonymous Event', properties: { k: 1 } }, then))
client.flush()
Promise.all(sent).then(
  () => process.exit(0),
  (error) => {
    console.error(error.message)
    process.exit(1)
  },
)
