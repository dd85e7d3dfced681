namespace Shinano.Storage.Pools;

/// <summary>A pool refuses what was asked; the message is for the person who asked, worded as zfs(8) words it.</summary>
public class VolumeException(string message) : IOException(message);
