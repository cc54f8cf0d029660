// The page at /docs/ in a real browser: it shows the operations, one can be tried, and nothing is asked of anybody else.
//
// The task is the only argument, {"chromium", "endpoint", "token"}. Each check is a line of JSON, {"name", "error"?};
// the last line is {"end": true}.

import { chromium } from 'playwright-core'

const task = JSON.parse(process.argv[2])
const PATIENCE = 20_000
const OPERATIONS = ['GET /pins', 'POST /pins', 'GET /pins/{requestid}', 'POST /pins/{requestid}', 'DELETE /pins/{requestid}']

const seen = { elsewhere: [], complaints: [], answered: 0 }

async function check (name, run) {
  try {
    await run()
    console.log(JSON.stringify({ name }))
  } catch (error) {
    console.log(JSON.stringify({ name, error: String(error?.stack ?? error) }))
  }
}

function ensure (holds, what) {
  if (!holds) throw new Error(what)
}

function watch (page) {
  const own = new URL(task.endpoint).origin
  page.on('request', request => {
    const url = new URL(request.url())
    if (!['data:', 'blob:'].includes(url.protocol) && url.origin !== own) seen.elsewhere.push(request.url())
  })
  page.on('response', response => {
    if (response.url().startsWith(own)) seen.answered += 1
  })
  page.on('console', message => {
    if (['error', 'warning'].includes(message.type())) seen.complaints.push(message.text())
  })
  page.on('pageerror', error => seen.complaints.push(String(error)))
}

async function operations (page) {
  await page.goto(`${task.endpoint}/docs/`)
  await page.locator('.opblock').first().waitFor()
  const shown = await page.locator('.opblock-summary').evaluateAll(blocks => blocks.map(block => {
    const text = selector => block.querySelector(selector)?.textContent.replace(/\u200b/g, '').trim()
    return `${text('.opblock-summary-method')} ${text('.opblock-summary-path')}`
  }))
  for (const operation of OPERATIONS) ensure(shown.includes(operation), `${operation} is not among ${shown.join(', ')}`)
}

// The page fills in the specification's examples, whose CIDs are none.
async function forgetExamples (operation) {
  const items = operation.locator('.json-schema-form-item-remove')
  while (await items.count() > 0) await items.first().click()
  for (const field of await operation.locator('.parameters input[type=text], .parameters textarea').all()) await field.fill('')
}

async function tryList (page) {
  await page.getByRole('button', { name: 'Authorize', exact: true }).first().click()
  const dialog = page.locator('.dialog-ux')
  await dialog.locator('input').first().fill(task.token)
  await dialog.locator('button.authorize').first().click()
  await dialog.locator('button.btn-done').first().click()
  const list = page.locator('.opblock-get', { has: page.locator('[data-path="/pins"]') })
  await list.locator('.opblock-summary-control').click()
  await list.getByRole('button', { name: 'Try it out' }).click()
  await forgetExamples(list)
  await list.getByRole('button', { name: 'Execute' }).click()
  const status = list.locator('.live-responses-table tbody .response-col_status').first()
  await status.waitFor()
  const answer = await list.locator('.live-responses-table').innerText()
  ensure((await status.innerText()).trim().startsWith('200'), answer)
  ensure(answer.includes('"count": 0') && answer.includes('"results": []'), answer)
}

const browser = await chromium.launch({
  executablePath: task.chromium,
  // Chromium refuses to make its sandbox as root; the page is ours.
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
})
try {
  const page = await browser.newPage()
  page.setDefaultTimeout(PATIENCE)
  watch(page)
  await check('the page shows every operation', () => operations(page))
  await check('a list is tried out with a token', () => tryList(page))
  await check('nothing is asked of another machine', () => {
    ensure(seen.answered > 5, `only ${seen.answered} answers were seen`)
    ensure(seen.elsewhere.length === 0, seen.elsewhere.join('\n'))
  })
  await check('the browser has nothing to complain of', () => ensure(seen.complaints.length === 0, seen.complaints.join('\n')))
} finally {
  await browser.close()
}
console.log(JSON.stringify({ end: true }))
