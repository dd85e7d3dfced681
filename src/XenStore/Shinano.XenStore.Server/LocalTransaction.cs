namespace Shinano.XenStore.Server;

/// <summary>What <see cref="LocalStore.Transact"/> runs: the view of one transaction.</summary>
/// <param name="nodes">The nodes as the transaction sees them.</param>
public delegate void LocalTransaction(IXenStoreNodes nodes);
