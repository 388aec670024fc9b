package collector

import (
	"context"
	"math"
	"regexp"
	"strconv"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/table"
)

// revenues takes what customers pay from billing, for the API.
type revenues struct{ store *store.Store }

// maxRevenue bounds one file of revenue, in bytes.
const maxRevenue = 16 << 20

// revenueSheet is the table of revenue.
var revenueSheet = table.Sheet{Columns: []string{"customer_id", "from", "to", "currency", "billed", "price_per_device_hour"}, Required: 6}

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
	faults := table.Faults{File: name}
	data, ok := faults.Text(data, maxRevenue)
	if !ok {
		return nil, faults.Err()
	}
	var rows []store.RevenueRow
	revenueSheet.CSV(data, &faults, func(line int, cells map[string]string) {
		fault := func(column, rule string) { faults.Add(line, column, rule) }
		row := store.RevenueRow{Customer: cells["customer_id"], FromDay: cells["from"], ToDay: cells["to"], Currency: cells["currency"]}
		if row.Customer == "" || len(row.Customer) > 100 {
			fault("customer_id", "is empty or too long")
		}
		if !currencyForm.MatchString(row.Currency) {
			fault("currency", "must be three capital letters such as USD")
		}
		row.BilledCents, row.CentsPerDeviceHour = cents("billed", cells["billed"], fault), cents("price_per_device_hour", cells["price_per_device_hour"], fault)
		switch {
		case (row.BilledCents > 0) == (row.CentsPerDeviceHour > 0):
			fault("billed", "each row must have a total or a price")
		case row.BilledCents > 0 && !(day(row.FromDay) && day(row.ToDay) && row.FromDay < row.ToDay):
			fault("from", "a total needs its days, from and to (excluded), such as 2026-01-01")
		case row.BilledCents == 0 && row.FromDay+row.ToDay != "":
			fault("from", "a price has no days")
		}
		rows = append(rows, row)
	})
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return rows, nil
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
