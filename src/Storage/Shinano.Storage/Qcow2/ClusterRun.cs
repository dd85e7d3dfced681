namespace Shinano.Storage.Qcow2;

/// <summary>A range of the guest's disk that is of one kind and, for data, in one piece in the file.</summary>
/// <param name="HostOffset">Where the range's first byte is in the file.</param>
/// <param name="Length">Bytes.</param>
internal readonly record struct ClusterRun(ClusterEntry Entry, long HostOffset, long Length);
