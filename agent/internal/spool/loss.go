package spool

import "encoding/binary"

// take moves the head of the frame's host to the frame.
func (c *scan) take(f Frame, number uint64, offset int64) {
	h := c.heads[f.Host]
	if !h.Last.Before(f.Mark()) {
		return // Append never writes this; the head must not go back
	}
	if !follows(h.Last, f) {
		missing := Mark{f.Epoch, f.First() - 1}
		c.lose(f.Host, h, missing, number, offset)
		h = c.heads[f.Host]
		h.Last = missing
	}
	c.topEpoch = max(c.topEpoch, f.Epoch)
	if _, ok := c.orphans[epochOf{f.Host, f.Epoch}]; ok {
		c.rec.Lost[c.orphaned[epochOf{f.Host, f.Epoch}]].To = f.Mark()
		h.Host, h.Last, h.Hash = f.Host, f.Mark(), f.Hash
		c.heads[f.Host] = h
		return
	}
	c.heads[f.Host] = advance(h, f)
	c.rec.Frames++
}

// reconcile compares what the frames said of a host with what was known when the
// heads were written. Newer heads mean that frames in between are missing.
func (c *scan) reconcile(known Head, number uint64, offset int64) {
	h := c.heads[known.Host]
	h.Host = known.Host
	if h.Receipted.Before(known.Receipted) {
		h.Receipted = known.Receipted
		c.heads[known.Host] = h
	}
	if !h.Last.Before(known.Last) {
		return
	}
	if !c.lose(known.Host, h, known.Last, number, offset) {
		h.ResumeNS = known.ResumeNS
	}
	h.Last, h.Hash = known.Last, known.Hash
	c.heads[known.Host] = h
}

// lose notes that the batches of a host after h.Last up to and including to are
// not readable, and reports whether that is a loss: what a receipt covers is
// not. The rest of their epoch can not be delivered.
func (c *scan) lose(host string, h Head, to Mark, number uint64, offset int64) bool {
	from := h.Last
	for _, receipted := range []Mark{h.Receipted, c.stored[host].Receipted} {
		if from.Before(receipted) {
			from = receipted
		}
	}
	if !from.Before(to) {
		return false
	}
	key := epochOf{host, to.Epoch}
	if _, ok := c.orphans[key]; ok {
		c.rec.Lost[c.orphaned[key]].To = to
		return true
	}
	c.rec.Lost = append(c.rec.Lost, LostRange{Segment: number, Offset: offset, Host: host, From: from, To: to})
	c.orphans[key] = to.Seq
	c.orphaned[key] = len(c.rec.Lost) - 1
	return true
}

// follow takes the numbers, not the content, of frames that can still be made
// out behind damage, so that the loss has names and no epoch is used again.
func (c *scan) follow(number uint64, rest []byte) {
	for at := range rest {
		f, _, ok := frameAt(rest[at:])
		if !ok {
			continue
		}
		c.topEpoch = max(c.topEpoch, f.Epoch)
		h := c.heads[f.Host]
		if h.Last.Before(f.Mark()) {
			c.reconcile(Head{Host: f.Host, Last: f.Mark(), Hash: f.Hash, ResumeNS: h.ResumeNS}, number, int64(at))
		}
	}
}

// holdsFrame reports whether a whole batch can be made out anywhere in data: a
// crash tears the end of a segment, it leaves nothing good behind the tear.
// Whole frames at the front belong to a unit that was not completed.
func holdsFrame(data []byte) bool {
	at := 0
	for {
		_, size, ok := frameAt(data[at:])
		if !ok {
			break
		}
		at += size
	}
	for ; at < len(data); at++ {
		if _, _, ok := frameAt(data[at:]); ok {
			return true
		}
	}
	return false
}

// frameAt tries to read a batch at the start of data. The kind is looked at
// first, so that trying every offset of a segment stays cheap.
func frameAt(data []byte) (Frame, int, bool) {
	if len(data) <= frameHead || data[frameHead] != kindBatch ||
		uint64(binary.LittleEndian.Uint32(data)) > uint64(len(data)) {
		return Frame{}, 0, false
	}
	payload, size, err := cutFrame(data)
	if err != nil {
		return Frame{}, 0, false
	}
	f, _, err := decodeBatch(payload)
	return f, size, err == nil
}
