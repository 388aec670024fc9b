package collector

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/store"
)

// revenues takes what customers pay from billing, for the API.
type revenues struct{ store *store.Store }

// revenueHeader is the first line of a file of revenue.
var revenueHeader = []string{"customer_id", "from", "to", "currency", "billed", "price_per_device_hour"}

// ImportRevenue reads a file and keeps it whole or not at all.
func (r revenues) ImportRevenue(ctx context.Context, name string, data []byte) (int, error) {
	rows, err := readRevenue(name, data)
	if err != nil {
		return 0, err
	}
	return len(rows), r.store.PutRevenue(ctx, rows)
}

var (
	moneyForm    = regexp.MustCompile(`^\d{1,12}(\.\d{1,2})?$`)
	currencyForm = regexp.MustCompile(`^[A-Z]{3}$`)
)

// readRevenue reads rows. Each is a total with its days, or a price without.
func readRevenue(name string, data []byte) ([]store.RevenueRow, error) {
	in := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	in.FieldsPerRecord = len(revenueHeader)
	var rows []store.RevenueRow
	var faults []error
	for first := true; ; first = false {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			if first {
				return nil, fmt.Errorf("%s:1: header: is missing", name)
			}
			break
		}
		if err != nil {
			line := 0
			if at := (*csv.ParseError)(nil); errors.As(err, &at) {
				line = at.Line
			}
			return nil, errors.Join(append(faults, fmt.Errorf("%s:%d: row: must have the %d cells of the header", name, line, len(revenueHeader)))...)
		}
		line, _ := in.FieldPos(0)
		if first {
			if !slices.Equal(cells, revenueHeader) {
				return nil, fmt.Errorf("%s:1: header: must be customer_id,from,to,currency,billed,price_per_device_hour", name)
			}
			continue
		}
		fault := func(column, rule string) {
			faults = append(faults, fmt.Errorf("%s:%d: %s: %s", name, line, column, rule))
		}
		row := store.RevenueRow{Customer: cells[0], FromDay: cells[1], ToDay: cells[2], Currency: cells[3]}
		if row.Customer == "" || len(row.Customer) > 100 {
			fault("customer_id", "is empty or too long")
		}
		if !currencyForm.MatchString(row.Currency) {
			fault("currency", "must be three capital letters such as USD")
		}
		row.BilledCents, row.CentsPerDeviceHour = cents("billed", cells[4], fault), cents("price_per_device_hour", cells[5], fault)
		switch {
		case (row.BilledCents > 0) == (row.CentsPerDeviceHour > 0):
			fault("billed", "each row must have a total or a price")
		case row.BilledCents > 0 && !(day(row.FromDay) && day(row.ToDay) && row.FromDay < row.ToDay):
			fault("from", "a total needs its days, from and to (excluded), such as 2026-01-01")
		case row.BilledCents == 0 && row.FromDay+row.ToDay != "":
			fault("from", "a price has no days")
		}
		rows = append(rows, row)
	}
	return rows, errors.Join(faults...)
}

func day(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

// cents reads an amount such as 2.49; nothing is 0.
func cents(column, s string, fault func(column, rule string)) int64 {
	if s == "" {
		return 0
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !moneyForm.MatchString(s) {
		fault(column, "must be an amount such as 2.49")
		return 0
	}
	return int64(math.Round(v * 100))
}
