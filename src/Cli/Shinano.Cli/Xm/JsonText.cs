using System.Text.Json;
using Shinano.Control.Api;

namespace Shinano.Cli.Xm;

/// <summary>What <c>--json</c> prints.</summary>
internal static class JsonText
{
    public static string Of<T>(T value) => JsonSerializer.Serialize(value, ControlJson.Indented);
}
