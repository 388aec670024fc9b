package ctl

import "github.com/flopwatch/flopwatch/pkg/verifier"

type verifyCommand struct{ verifier.Bundle }

// Run checks a bundle. It asks no collector.
func (c verifyCommand) Run(s *scope) error { return c.Check(s.out, s.format == "json") }

type auditVerifyCommand struct{ verifier.Log }

// Run checks an exported audit log. It asks no collector.
func (c auditVerifyCommand) Run(s *scope) error { return c.Check(s.out, s.format == "json") }
