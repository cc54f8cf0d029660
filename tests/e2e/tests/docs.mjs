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

async function authorize (page) {
  await page.getByRole('button', { name: 'Authorize', exact: true }).first().click()
  const dialog = page.locator('.dialog-ux')
  await dialog.locator('input').first().fill(task.token)
  await dialog.locator('button.authorize').first().click()
  await dialog.locator('button.btn-done').first().click()
}

// Sends what the page fills in, and hands back the answer.
async function tryOut (page, method, wanted) {
  const operation = page.locator(`.opblock-${method}`, { has: page.locator('[data-path="/pins"]') })
  await operation.locator('.opblock-summary-control').click()
  await operation.getByRole('button', { name: 'Try it out' }).click()
  await operation.getByRole('button', { name: 'Execute' }).click()
  const status = operation.locator('.live-responses-table tbody .response-col_status').first()
  await status.waitFor()
  const answer = await operation.locator('.live-responses-table').innerText()
  ensure((await status.innerText()).trim().startsWith(wanted), answer)
  return answer
}

async function tryPost (page) {
  await authorize(page)
  const answer = await tryOut(page, 'post', '202')
  ensure(answer.includes('"status": "pinned"'), answer)
}

async function tryList (page) {
  const answer = await tryOut(page, 'get', '200')
  ensure(answer.includes('"count": 1') && answer.includes('"name": "hello.txt"'), answer)
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
  await check('the pin that is filled in is sent with a token', () => tryPost(page))
  await check('a list is tried out', () => tryList(page))
  await check('nothing is asked of another machine', () => {
    ensure(seen.answered > 5, `only ${seen.answered} answers were seen`)
    ensure(seen.elsewhere.length === 0, seen.elsewhere.join('\n'))
  })
  await check('the browser has nothing to complain of', () => ensure(seen.complaints.length === 0, seen.complaints.join('\n')))
} finally {
  await browser.close()
}
console.log(JSON.stringify({ end: true }))
