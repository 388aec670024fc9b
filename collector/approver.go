package collector

import (
	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// approverOf is who asks, as the second person of something. A token is nobody who
// has signed in, so it approves nothing.
func approverOf(who permission.Principal) approval.Approver {
	if who.Token != "" {
		return approval.Approver{ID: who.ID, Accounts: who.Accounts}
	}
	return approval.Approver{ID: who.ID, SignedIn: who.SignedIn, Accounts: who.Accounts}
}
