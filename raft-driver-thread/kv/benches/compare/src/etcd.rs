//! A minimal client of etcd, over gRPC.

use crate::Failed;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

/// A client. Its clones share the connection.
#[derive(Clone)]
pub struct Client(Grpc<Channel>);

/// etcdserverpb.PutRequest
#[derive(Clone, PartialEq, prost::Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// etcdserverpb.PutResponse; its fields are not needed.
#[derive(Clone, PartialEq, prost::Message)]
struct PutResponse {}

/// etcdserverpb.RangeRequest; by default it is linearizable.
#[derive(Clone, PartialEq, prost::Message)]
struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

/// etcdserverpb.RangeResponse
#[derive(Clone, PartialEq, prost::Message)]
struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
}

/// mvccpb.KeyValue
#[derive(Clone, PartialEq, prost::Message)]
struct KeyValue {
    #[prost(bytes = "vec", tag = "5")]
    value: Vec<u8>,
}

impl Client {
    pub async fn connect(address: &str) -> Result<Client, Failed> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let channel = endpoint.tcp_nodelay(true).connect().await?;
        Ok(Client(Grpc::new(channel)))
    }

    pub async fn put(&mut self, key: &str, value: &[u8]) -> Result<(), Failed> {
        let (key, value) = (key.into(), value.into());
        let path = "/etcdserverpb.KV/Put";
        let PutResponse {} = self.request(path, PutRequest { key, value }).await?;
        Ok(())
    }

    pub async fn get(&mut self, key: &str) -> Result<usize, Failed> {
        let path = "/etcdserverpb.KV/Range";
        let found: RangeResponse = self.request(path, RangeRequest { key: key.into() }).await?;
        let first = found.kvs.first().ok_or("a key does not exist")?;
        Ok(first.value.len())
    }

    async fn request<Q, A>(&mut self, path: &'static str, request: Q) -> Result<A, Failed>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        self.0.ready().await?;
        let path = PathAndQuery::from_static(path);
        let codec = ProstCodec::<Q, A>::default();
        let answer = self
            .0
            .unary(tonic::Request::new(request), path, codec)
            .await?;
        Ok(answer.into_inner())
    }
}
