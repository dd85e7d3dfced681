using System.Net.Sockets;
using System.Text;

namespace Shinano.Control.Tests;

/// <summary>xend answers nonsense with a refusal and goes on.</summary>
public sealed class HostileRequestTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("POST /v1/domains", "application/json", "{", 400)]
    [InlineData("POST /v1/domains", "application/json", "null", 400)]
    [InlineData("POST /v1/domains", "application/json", "[1,2]", 400)]
    [InlineData("POST /v1/domains", "application/json", "{\"fileName\":1}", 400)]
    [InlineData("POST /v1/domains", "text/plain", "name='a'", 400)]
    [InlineData("POST /v1/domains/1/trigger", "application/json", "{\"trigger\":\"explode\",\"vcpu\":0}", 400)]
    [InlineData("POST /v1/domains/%2e%2e%2f1/pause", "application/json", "{}", 404)]
    [InlineData("DELETE /v1/managed/%2e%2e%2fsecret", "application/json", "", 404)]
    [InlineData("GET /v1/outcomes/99", "application/json", "", 404)]
    [InlineData("GET /v2/host", "application/json", "", 404)]
    [InlineData("PUT /v1/host", "application/json", "", 405)]
    public async Task Nonsense_is_refused(string request, string type, string body, int expected)
    {
        await using TestHome home = await TestHome.StartAsync();
        string answer = await SendAsync(
            home, $"{request} HTTP/1.1\r\nHost: xend\r\nConnection: close\r\nContent-Type: {type}\r\nContent-Length: {body.Length}\r\n\r\n{body}");
        Assert.StartsWith($"HTTP/1.1 {expected} ", answer, StringComparison.Ordinal);
        await home.AssertNothingLeftAsync(DomainLifeTests.Store(home));
    }

    [Fact]
    public async Task What_is_not_http_is_refused()
    {
        await using TestHome home = await TestHome.StartAsync();
        Assert.StartsWith("HTTP/1.1 400 ", await SendAsync(home, "\0\u0001 what is this\r\n\r\n"), StringComparison.Ordinal);
        await home.AssertNothingLeftAsync(DomainLifeTests.Store(home));
    }

    private static async Task<string> SendAsync(TestHome home, string text)
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(home.Paths.XendSocket), Cancellation);
        await using NetworkStream stream = new(socket);
        await stream.WriteAsync(Encoding.ASCII.GetBytes(text), Cancellation);
        using StreamReader reader = new(stream);
        return await reader.ReadToEndAsync(Cancellation);
    }
}
