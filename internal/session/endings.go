package session

// endings is a heap.Interface: the session that ends first is on top.
type endings []*entry

func (q endings) Len() int           { return len(q) }
func (q endings) Less(i, j int) bool { return q[i].session.Ends.Before(q[j].session.Ends) }
func (q endings) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

// Push is for package heap.
func (q *endings) Push(x any) {
	e := x.(*entry) //nolint:errcheck // nothing else is pushed
	e.at = len(*q)
	*q = append(*q, e)
}

// Pop is for package heap.
func (q *endings) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}
