// Step 1: Create checkout session (creates unpaid command)
const response = await fetch('/api/checkout/create-stripe-checkout-session', {
method: 'POST',
headers: {
'Content-Type': 'application/json'
},
body: JSON.stringify({
items: [
{ product_id: '507f1f77bcf86cd799439011', quantity: 2 }
],
customer: {
firstName: 'John',
lastName: 'Doe',
email: 'john@example.com',
phone: '+33612345678',
address: '123 Main St',
postalCode: '75001',
city: 'Paris'
},
appointment: new Date('2025-12-15T14:00:00')
})
});
const { url, commandId } = await response.json();
// Store commandId for later if needed
localStorage.setItem('pendingCommandId', commandId);
// Step 2: Redirect to Stripe checkout
window.location.href = url;
// Step 3: On success page (after Stripe redirects back)
// URL will be: /commande/terminee?session_id=xxx&command_id=yyy
const urlParams = new URLSearchParams(window.location.search);
const sessionId = urlParams.get('session_id');
const commandId = urlParams.get('command_id');
if (sessionId && commandId) {
// Confirm payment and mark command as paid
const confirmResponse = await fetch('/api/checkout/confirm-payment', {
method: 'POST',
headers: {
'Content-Type': 'application/json'
},
body: JSON.stringify({
sessionId,
commandId
})
});
const { command } = await confirmResponse.json();
console.log('Command paid:', command.ref);
// Clear stored command ID
localStorage.removeItem('pendingCommandId');
}
