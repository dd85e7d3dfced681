namespace Shinano.Storage.Qcow2;

/// <summary>Host clusters for guest clusters that the tables do not lead to yet.</summary>
/// <param name="Start">First guest byte, at a cluster's beginning.</param>
/// <param name="End">Guest byte behind the last cluster.</param>
/// <param name="IsFresh">The host clusters were never written.</param>
/// <param name="IsReserved">They were reserved for these guest clusters before.</param>
internal readonly record struct NewClusters(long Start, long End, long HostOffset, bool IsFresh, bool IsReserved);
