using System.Text.Json.Serialization;

namespace Shinano.Storage.Pools;

/// <summary>How <c>pool.json</c> is written.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(PoolRecord))]
internal sealed partial class PoolJson : JsonSerializerContext;
