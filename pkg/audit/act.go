package audit

import "context"

// Act is who does what is being done, and why. It travels with the context from
// where a request is admitted to where the change is written.
type Act struct {
	Actor     Actor
	Action    string // empty: named after what happened to the object
	Reason    string
	Policy    string
	Request   string
	Approvals []string
}

type actKey struct{}

// With returns a context in which act is done.
func With(ctx context.Context, act Act) context.Context {
	return context.WithValue(ctx, actKey{}, act)
}

// Of returns what is done in ctx: by the collector itself where nobody is named.
func Of(ctx context.Context) Act {
	act, ok := ctx.Value(actKey{}).(Act)
	if !ok {
		return Act{Actor: Actor{Kind: Rule, ID: "collector"}}
	}
	return act
}

// Because returns a context in which the same is done by the same, as the named
// action and for the reason.
func Because(ctx context.Context, action, reason string) context.Context {
	act := Of(ctx)
	act.Action, act.Reason = action, reason
	return With(ctx, act)
}
