namespace Shinano.Storage.Pools;

internal enum StreamRecordKind
{
    Data = 1,

    /// <summary>Data as one zstd frame.</summary>
    PackedData = 2,

    Zeroes = 3,

    /// <summary>The payload is the SHA-256 of all bytes before this record.</summary>
    End = 4,
}
