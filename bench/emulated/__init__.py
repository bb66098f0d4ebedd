"""An engine that only takes time: it sleeps `a + c · rows`, so that GPU step times and replicas fit on any machine."""
